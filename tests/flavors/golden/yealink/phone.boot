#!version:1.0.0.1
include:config "805ec07f0001.cfg"
overwrite_mode = 0
