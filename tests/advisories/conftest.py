from tests.server.conftest import server, shared_server, text_model

__all__ = ["server", "shared_server", "text_model"]
