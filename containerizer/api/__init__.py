"""The agent's HTTP API: the Mesos v1 agent API on the wire, and calls of our own from number 1000 up.

handle.py       POST /api/v1: a request, its handler, the answer
body.py         the calls in a request's body
table.py        which call is whose: one literal table
handlers/       the calls, a file a topic
launching.py    what a request asks, in our words
describing.py   what we know of a container, in theirs
files.py        the paths that clients may read
proto/          the messages; *_pb2.py is generated of *.proto by `make proto`
json_format.py  messages as JSON, by the predecessor's rules
recordio.py     the framing of streams
media.py        what a request says of the types of its body and its answer
errors.py       refusals, each with its HTTP status
"""
