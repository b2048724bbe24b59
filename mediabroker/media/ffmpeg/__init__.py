"""ffmpeg as a child process: found, limited, listened to and ended."""
