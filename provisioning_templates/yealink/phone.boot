#!version:1.0.0.1
include:config "{{ phone.mac }}.cfg"
overwrite_mode = 0
