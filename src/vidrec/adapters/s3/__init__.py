"""Any S3-compatible object store, through boto3."""

from vidrec.adapters.s3.client import S3, S3Options
from vidrec.adapters.s3.library import S3Library
from vidrec.adapters.s3.store import S3Store
from vidrec.adapters.s3.uploads import S3Uploads

__all__ = ["S3", "S3Library", "S3Options", "S3Store", "S3Uploads"]
