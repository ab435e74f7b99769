"""The one pickle of a file: the model without its attributes. It is followed, never executed."""

import ast
import pickletools
from dataclasses import dataclass

from pressbox import ROOT
from pressbox.errors import NotTrusted, Reason

PLACEHOLDER = ("special_k.serializable_model", "CustomSerializedValue")
# The class of a model, unless it is one of those in OWN.
BUILT_IN = ("pressbox.classifier", "SportClassifier")
OWN = ROOT / "pressbox" / "own"


def check_pickle(content: memoryview, attributes: set[str]) -> tuple[str, str]:
    """The class of the pickled model: (module, name).

    attributes: the names of those that are signed. Raises NotTrusted (``code``) unless loading the
    pickle would make one instance of the class, whose state is ``attributes``, each of them
    special_k's placeholder, and nothing else. Its opcodes are followed, not executed.
    """
    try:
        made, named = _made_by_pickle(bytes(content))
        if not isinstance(made, _Instance) or not isinstance(made.state, dict):
            raise ValueError("it is not an instance")
        if made.state.keys() != attributes:
            raise ValueError("its state is not that of a model")
        for value in made.state.values():
            if value.kind != PLACEHOLDER or value.state is not None:
                raise ValueError("its state holds something other than placeholders")
        # Even what is made and thrown away must not be named.
        if not named <= {made.kind, PLACEHOLDER}:
            raise ValueError(f"it names {sorted(named - {made.kind, PLACEHOLDER})}")
    except (AttributeError, IndexError, LookupError, TypeError, ValueError) as error:
        raise NotTrusted(Reason.CODE, f"its pickle is not that of a model ({error})") from error
    return made.kind


def check_class(kind: tuple[str, str]) -> None:
    """NotTrusted unless it is the name of a model's class, whether that is here or not."""
    package, _, module = kind[0].rpartition(".")
    own = package == "pressbox.own" and module.isidentifier() and kind[1].isidentifier()
    if kind != BUILT_IN and not own:
        raise NotTrusted(Reason.CODE, f"its pickle names {'.'.join(kind)}")


def check_installed(kind: tuple[str, str], signer: str) -> None:
    """NotTrusted unless the class is here; a module of OWN is read for that, not imported.

    signer: whose signature the model has, in words.
    """
    if kind == BUILT_IN:
        return
    module = kind[0].rpartition(".")[2]
    path, place = OWN / f"{module}.py", f"pressbox/own/{module}.py"
    made = f"it is signed by {signer}, and made of the class {'.'.join(kind)}"
    try:
        body = ast.parse(path.read_bytes()).body if path.is_file() else []
    except (OSError, MemoryError, RecursionError, SyntaxError, ValueError) as error:
        raise NotTrusted(
            Reason.CODE, f"{made}, whose module cannot be read ({error})", f"repair {place}"
        ) from error
    if kind[1] not in {node.name for node in body if isinstance(node, ast.ClassDef)}:
        raise NotTrusted(Reason.CODE, f"{made}, which is not here", f"put it into {place}")


@dataclass
class _Instance:
    """What loading a pickle would make: of which class (module, name), and its state."""

    kind: tuple[str, str]
    state: dict | None = None


_MARK = object()


def _made_by_pickle(content: bytes):
    """What the pickle would make, and the globals that it names: {(module, name), ...}.

    Knows the opcodes that pickling a model takes, and no REDUCE: nothing is called. For anything
    else it raises what a stack machine raises: ValueError, IndexError, TypeError and others.
    """
    stack, memo, named = [], {}, set()
    for opcode, argument, position in pickletools.genops(content):
        match opcode.name:
            case "PROTO" | "FRAME":
                pass
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "SHORT_BINUNICODE":
                stack.append(argument)
            case "EMPTY_TUPLE":
                stack.append(())
            case "EMPTY_DICT":
                stack.append({})
            case "MARK":
                stack.append(_MARK)
            case "STACK_GLOBAL":
                name, module = stack.pop(), stack.pop()
                if not isinstance(name, str) or not isinstance(module, str):
                    raise ValueError("a global without a name")
                named.add((module, name))
                stack.append((module, name))
            case "NEWOBJ":
                arguments, kind = stack.pop(), stack.pop()
                if arguments != () or len(kind) != 2:
                    raise ValueError("an instance made of something")
                stack.append(_Instance(kind))
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                stack[-1][key] = value
            case "SETITEMS":
                start = len(stack) - 1 - stack[::-1].index(_MARK)
                items = stack[start + 1 :]
                del stack[start:]
                stack[-1].update(zip(items[::2], items[1::2], strict=True))
            case "BUILD":
                state = stack.pop()
                if stack[-1].state is not None:
                    raise ValueError("a state that is set twice")
                stack[-1].state = dict(state)
            case "STOP":
                made = stack.pop()
                if stack or position != len(content) - 1:
                    raise ValueError("something follows it")
                return made, named
            case name:
                raise ValueError(f"the opcode {name}")
    raise ValueError("it has no end")
