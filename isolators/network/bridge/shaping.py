"""Rates of a container's traffic: a token bucket at each end of its cable, tc-tbf(8).

Each end delays what it sends: the host's what the container receives, the container's what it sends. A
container that may change its network (CAP_NET_ADMIN, which none has by default) may undo the latter.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping

from isolators.network.rtnetlink import RTM_NEWQDISC, TCA_KIND, TCA_OPTIONS, TCMSG, Netlink, attribute

_NLM_F_CREATE_REPLACE = 0x500
_TCA_TBF_PARMS, _TCA_TBF_RATE64, _TCA_TBF_BURST = 1, 4, 6
_TC_H_ROOT = 0xFFFFFFFF
_HANDLE = 1 << 16
_ETHERNET = 1  # TC_LINKLAYER_ETHERNET
_RATE = struct.Struct("=BBHhHI")  # of tc_ratespec: cell_log, linklayer, overhead, cell_align, mpu, rate
_LATENCY = 0.05  # seconds that a packet waits at most; then it is dropped


def limit(netlink: Netlink, device: str, told: Mapping[str, int], direction: str) -> None:
    """By the capability `bandwidth` of CNI: bits a second, and bits at once. Raises OSError."""
    rate = told.get(f"{direction}Rate")
    index = netlink.index(device)
    if not rate or index is None:
        return
    rate, burst = rate // 8, told[f"{direction}Burst"] // 8
    most = int(rate * _LATENCY) + burst
    spec = _RATE.pack(0, _ETHERNET, 0, 0, 0, min(rate, 0xFFFFFFFF))
    parameters = spec + bytes(_RATE.size) + struct.pack("=III", min(most, 0xFFFFFFFF), 0, 0)
    options = attribute(_TCA_TBF_PARMS, parameters)
    options += attribute(_TCA_TBF_RATE64, struct.pack("=Q", rate))
    options += attribute(_TCA_TBF_BURST, struct.pack("=I", min(burst, 0xFFFFFFFF)))
    payload = TCMSG.pack(socket.AF_UNSPEC, index, _HANDLE, _TC_H_ROOT, 0)
    payload += attribute(TCA_KIND, b"tbf\0") + attribute(TCA_OPTIONS, options)
    netlink.request(RTM_NEWQDISC, _NLM_F_CREATE_REPLACE, payload, f"the rate of {device}")
