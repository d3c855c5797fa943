"""``python -m bench.tftp_server PORT FILE``: muru's TFTP server, which has that one file."""

import asyncio
import sys
from pathlib import Path

from bench import HOST
from muru.provisioning.tftp.request import FileNotFound, ReadRequest
from muru.provisioning.tftp.server import TftpServer


async def serve(port: int, name: str, content: bytes) -> None:
    async def answer(request: ReadRequest) -> bytes:
        if request.filename != name:
            raise FileNotFound
        return content

    await TftpServer(answer, host=HOST, port=port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    file = Path(sys.argv[2])
    asyncio.run(serve(int(sys.argv[1]), file.name, file.read_bytes()))
