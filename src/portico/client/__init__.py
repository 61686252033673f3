"""What talks to a server from outside."""

from portico.client.api import APIClient, get_model_list, get_streaming_response

__all__ = ["APIClient", "get_model_list", "get_streaming_response"]
