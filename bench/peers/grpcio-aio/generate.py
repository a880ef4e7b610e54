"""Generates Python messages from this project's protos into the environment's folder: generate.py PROJECT VENV"""

import pathlib
import sys

from grpc_tools import protoc

project, environment = map(pathlib.Path, sys.argv[1:])
protos = project / "proto"
messages = environment / "messages"
messages.mkdir(exist_ok=True)
files = sorted(str(path) for path in (protos / "envoy").rglob("*.proto"))
wellknown = pathlib.Path(protoc.__file__).parent / "_proto"
sys.exit(protoc.main(["protoc", f"-I{protos}", f"-I{wellknown}", f"--python_out={messages}", f"--grpc_python_out={messages}", *files]))
