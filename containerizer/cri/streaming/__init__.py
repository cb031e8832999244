"""The streaming server: exec, attach and port-forward, for whoever comes with a one-time token.

server.py        HTTP/1.1, up to the upgrade; the token says what was asked for
spdy.py          SPDY/3.1: what kubectl and crictl speak to a kubelet (frames.py: its encoding)
websockets.py    WebSocket, with a channel's number before each message: protocols v1, v4 and v5
tunnel.py        SPDY in the messages of a WebSocket, to forward ports
remote_command.py   a session and the client's ends of it, whichever of the two carries them
port_forward.py  connections into a pod, likewise
"""
