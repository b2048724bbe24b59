"""Hostile names for paths and keys: each one has once broken some program that believed names to be tame."""

from __future__ import annotations

import unicodedata

__all__ = ["CONTROL_NAMES", "HOSTILE_NAMES"]

_TRAVERSAL = [
    "../../etc/passwd",
    "..",
    "a/../../b",
    "./a",
    "a/./b",
    "%2e%2e%2fetc%2fpasswd",
    "%252e%252e%252f",
    "..\\..\\windows",
    "/etc/passwd",
    "//host/share",
]
_OPTIONS = ["-rf", "--help", "-i"]
_SHELL = ["a b", "a'b", 'a"b', "$(id)", "`id`", "a;b", "a|b", "a&b", "*", "?", "[a]", "{a,b}", "~root", "!x"]
_FORMATS = ["%03d.png", "%s%n", "{0}", "${HOME}", "a:b.mp4", "a=b"]
_PROTOCOLS = ["concat:a|b", "subfile,,start,0,end,9,,:x", "pipe:0"]
_URI = ["a#b.mp4", "a?b.mp4", "a%20b", "a%", "a%zz", "a+b", "a@b", "a&b=c", "x://y", "a,b", "user:pw@h"]
_UNICODE = [
    unicodedata.normalize("NFC", "é.mp4"),
    unicodedata.normalize("NFD", "é.mp4"),
    "A.mp4",
    "a.mp4",
    "影片.mp4",
    "\u202egpj.exe",
    "🎬.mp4",
    "ß",
    "ﬁ",
    "\u00a0",
    "\u2028",
    "\ufeffbom",
]
_LENGTHS = ["x" * 255, "x" * 256, "x" * 1024, "é" * 512]
_WINDOWS = ["CON", "NUL.mp4", "a.", "a ", " a", ".hidden", "a\\b"]

_SYNTAX = [*_OPTIONS, *_SHELL, *_FORMATS, *_PROTOCOLS, *_URI]
HOSTILE_NAMES = [*_TRAVERSAL, *_SYNTAX, *_UNICODE, *_LENGTHS, *_WINDOWS]
CONTROL_NAMES = ["a\x00b", "a\nfile 'x'", "a\rb", "a\tb", "a\x1b[31m", "a\x7f", "\ud800"]
