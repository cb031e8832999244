"""Isolators for the shields and attributes of a Linux process: capabilities, scheduling, sysctls …"""
