"""HLS ladders: their rungs, their playlists and their publication."""
