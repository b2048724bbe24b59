"""How the bundled weights are made: from a folder of pictures to trained, quantised, scored and described networks.

Nothing here is needed to upscale a video. It needs the `training` extra (torch, onnx, safetensors).
"""
