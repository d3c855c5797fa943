"""JSON over HTTP under ``/api/v1``: parse, call one service, answer."""
