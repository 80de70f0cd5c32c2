"""Who asks is named rightly."""

from __future__ import annotations

from sandbox.prompts.asks import frame_origin, origin_of


def test_origins() -> None:
    """An origin is scheme, host and port; what has none in its address has none, but a blank frame has its maker's."""
    assert origin_of("https://ann:pw@host:8443/a?b#c") == "https://host:8443"
    assert origin_of("blob:https://host/1") == "https://host"
    assert origin_of("http://[::1]:80/") == "http://[::1]:80"
    assert origin_of("about:blank") == origin_of("data:text/html,x") == ""
    child = {"frame": {"id": "c", "url": "about:blank", "securityOrigin": "https://a.example"}}
    tree = {"frame": {"id": "m", "url": "https://a.example/"}, "childFrames": [child]}
    assert frame_origin(tree, "c") == "https://a.example"
    assert frame_origin(tree, "m") == "https://a.example"
    assert frame_origin(tree, "x") == ""
