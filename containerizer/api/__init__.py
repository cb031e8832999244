"""The agent's HTTP API: the Mesos v1 agent API on the wire, and calls of our own from number 1000 up.

proto/          the messages; *_pb2.py is generated of *.proto by `make proto`
json_format.py  messages as JSON, by the predecessor's rules
recordio.py     the framing of streams
media.py        what a request says of the types of its body and its answer
errors.py       refusals, each with its HTTP status
"""
