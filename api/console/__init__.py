"""The console in the browser: its page and files, its sessions, and the calls that its page makes with them."""
