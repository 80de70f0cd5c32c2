"""One document out of `DOMSnapshot.captureSnapshot`, as a tree that roles and names are computed from. Pure."""

from __future__ import annotations

from typing import Any, Final

ELEMENT: Final = 1
TEXT: Final = 3
_UNSEEN: Final = frozenset({"script", "style", "noscript", "template", "head", "title", "meta", "link"})


class Document:
    """The nodes of one document by index; parents come before children. Nodes beyond `limit` are left out."""

    def __init__(self, raw: dict[str, Any], strings: list[str], limit: int) -> None:
        nodes = raw["nodes"]
        total = len(nodes["parentIndex"])
        self.size = min(total, max(limit, 0))
        self.left_out = total - self.size
        self.frame: str = strings[raw["frameId"]] if raw["frameId"] >= 0 else ""
        self.url: str = strings[raw["documentURL"]] if raw["documentURL"] >= 0 else ""
        self.parent: list[int] = nodes["parentIndex"]
        self.kind: list[int] = nodes["nodeType"]
        self.node: list[int] = nodes["backendNodeId"]
        self._strings = strings
        self._names: list[int] = nodes["nodeName"]
        self._values: list[int] = nodes["nodeValue"]
        self._attributes: list[list[int]] = nodes["attributes"]
        self._lower: dict[int, str] = {}
        self._read_attributes: dict[int, dict[str, str]] = {}
        self.shadow = self._texts(nodes.get("shadowRootType"))
        self.input_value = self._texts(nodes.get("inputValue"))
        self.text_value = self._texts(nodes.get("textValue"))
        self.checked = frozenset(nodes.get("inputChecked", {}).get("index", ()))
        self.selected = frozenset(nodes.get("optionSelected", {}).get("index", ()))
        self.children: list[list[int]] = [[] for _ in range(self.size)]
        for index in range(self.size):
            above = self.parent[index]
            if above >= 0:
                self.children[above].append(index)
        self.shown = self._rendered(raw["layout"])
        self._ids: dict[str, int] | None = None
        self._labels: dict[str, list[int]] | None = None

    def __repr__(self) -> str:
        return f"<Document {self.size} nodes>"

    @property
    def identity(self) -> int:
        """The document node's id: another one means that the document was replaced."""
        return self.node[0] if self.node else 0

    def tag(self, index: int) -> str:
        """Lower-case tag name ("#text" and so on for other nodes)."""
        name = self._names[index]
        if name not in self._lower:
            self._lower[name] = self._strings[name].lower() if name >= 0 else ""
        return self._lower[name]

    def text(self, index: int) -> str:
        """A text node's text."""
        value = self._values[index]
        return self._strings[value] if value >= 0 else ""

    def attributes(self, index: int) -> dict[str, str]:
        """An element's attributes."""
        if index not in self._read_attributes:
            flat, strings = self._attributes[index], self._strings
            self._read_attributes[index] = {
                strings[flat[i]]: strings[flat[i + 1]] if flat[i + 1] >= 0 else "" for i in range(0, len(flat) - 1, 2)
            }
        return self._read_attributes[index]

    def by_id(self, name: str) -> int | None:
        """The first element with this id."""
        if self._ids is None:
            self._ids = {}
            for index in self.elements():
                if self._attributes[index] and (found := self.attributes(index).get("id")):
                    self._ids.setdefault(found, index)
        return self._ids.get(name)

    def labels_for(self, name: str) -> list[int]:
        """The label elements whose `for` is this id."""
        if self._labels is None:
            self._labels = {}
            for index in self.elements():
                if self.tag(index) == "label" and (target := self.attributes(index).get("for")):
                    self._labels.setdefault(target, []).append(index)
        return self._labels.get(name, [])

    def elements(self) -> list[int]:
        """Every element, in document order."""
        return [index for index in range(self.size) if self.kind[index] == ELEMENT]

    def content(self, index: int, limit: int = 400) -> str:
        """The text a node shows, white space collapsed, alternatives of images included; nothing of what is typed."""
        found: list[str] = []
        length = 0
        stack = [index]
        while stack and length < limit:
            at = stack.pop()
            if self.kind[at] == TEXT:
                if at in self.shown:
                    found.append(self.text(at))
                    length += len(found[-1])
                continue
            tag = self.tag(at)
            if tag in _UNSEEN or self.shadow.get(at) == "user-agent" or (at != index and tag in {"textarea", "select"}):
                continue
            if tag in {"img", "area"}:
                found.append(f" {self.attributes(at).get('alt', '')} ")
            if tag in {"br", "p", "div", "li", "td", "tr"}:
                found.append(" ")
            stack.extend(reversed(self.children[at]))
        return " ".join("".join(found).split())[:limit]

    def _texts(self, rare: dict[str, list[int]] | None) -> dict[int, str]:
        if not rare:
            return {}
        strings = self._strings
        pairs = zip(rare["index"], rare["value"], strict=False)
        return {index: strings[value] if value >= 0 else "" for index, value in pairs}

    def _rendered(self, layout: dict[str, Any]) -> frozenset[int]:
        strings = self._strings
        hidden = {index for index, text in enumerate(strings) if text in {"hidden", "collapse"}}
        return frozenset(
            node
            for node, styles in zip(layout["nodeIndex"], layout["styles"], strict=False)
            if not styles or styles[0] not in hidden
        )
