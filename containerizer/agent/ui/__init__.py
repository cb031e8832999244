"""A page for people, at /ui: the containers, what they use and write, and a terminal in any of them.

Served by the agent if it is asked to (`--ui true`), to whoever may make the calls behind it.

routes.py       the page's files, and what keeps other sites' pages away
terminals.py    WebSockets: a command in a container, or its own task
static/         the page: no build step, ES modules as they are; vendor/ has xterm.js
"""
