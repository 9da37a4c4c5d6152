"""What `az storage blob upload` does, for tests that have no Azure CLI: the same options, the real SDK."""

import argparse
import os
import sys
from pathlib import Path

from azure.storage.blob import BlobServiceClient, ContentSettings


def main() -> int:
    """Upload one file; options the CLI does not have are refused, as it refuses them."""
    parser = argparse.ArgumentParser(prog="az", allow_abbrev=False)
    parser.add_argument("command", nargs=3)
    parser.add_argument("--account-name", required=True)
    parser.add_argument("--container-name", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--file", required=True, type=Path)
    parser.add_argument("--content-type")
    parser.add_argument("--overwrite", choices=["true", "false"], default="false")
    parser.add_argument("--auth-mode", choices=["login"], required=True)
    parser.add_argument("--output", choices=["none", "json"])
    options = parser.parse_args()
    if options.command != ["storage", "blob", "upload"]:
        parser.error(f"{options.command} is no command this stand-in knows")
    with BlobServiceClient.from_connection_string(os.environ["AZ_UPLOADS_TO"]) as service:
        service.get_blob_client(options.container_name, options.name).upload_blob(
            options.file.read_bytes(),
            overwrite=options.overwrite == "true",
            content_settings=ContentSettings(content_type=options.content_type),
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
