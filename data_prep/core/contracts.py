"""JSON files that rooms and programs exchange, as types: one schema number each.

A contract is a frozen pydantic model that knows the number of its schema. Whatever is wrong with a
file, reading it raises a :class:`~data_prep.core.errors.DataError` that names its path.
"""

import json
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from data_prep.core import files
from data_prep.core.errors import DataError

KEY = "schema_version"
"""Key of the schema number in every file."""

FAULTS_SHOWN = 3
"""Number of faults that a message lists; one wrong key often causes many."""


class NewerSchemaError(DataError):
    """A file of a newer version of this software, which this one must not overwrite."""


class Part(BaseModel):
    """A part of a contract: immutable; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=True)


class Contract(Part):
    """A JSON file; subclasses set :attr:`SCHEMA` and increase it when the format changes."""

    SCHEMA: ClassVar[int] = 1

    IMPLIED_SCHEMA: ClassVar[int | None] = None
    """Schema of a file that states none, for files that people write; None where it is required."""

    @classmethod
    def read(cls: "type[ContractT]", path: Path, advice: str) -> "ContractT":
        """Read and check a file.

        :param path: the file.
        :param advice: what to do if it is absent or damaged, e.g. "Run preprocess again."
        :raises DataError: the file is absent, unreadable, damaged, or of another schema.
        """
        content = read_json_object(path, advice)
        found = content.pop(KEY, cls.IMPLIED_SCHEMA)
        if isinstance(found, int) and not isinstance(found, bool) and found > cls.SCHEMA:
            raise NewerSchemaError(
                f"{path} has {KEY} {found}, expected at most {cls.SCHEMA}: it is meant for a newer "
                "version. Update niftynet-ext."
            )
        if found != cls.SCHEMA:
            raise DataError(f"{path} has {KEY} {found!r}, expected {cls.SCHEMA}. {advice}")
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            faults = [
                f"{'.'.join(map(str, fault['loc'])) or 'file'}: {fault['msg']}"
                for fault in error.errors()
            ]
            more = f"; and {len(faults) - FAULTS_SHOWN} more" if len(faults) > FAULTS_SHOWN else ""
            raise DataError(
                f"{path} is damaged ({'; '.join(faults[:FAULTS_SHOWN])}{more}). {advice}"
            ) from error

    def as_json(self) -> dict[str, Any]:
        """Return the file's content, its schema number first."""
        return {KEY: self.SCHEMA} | self.model_dump(mode="json")

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        files.write_json(path, self.as_json())


ContractT = TypeVar("ContractT", bound=Contract)


def read_json_object(path: Path, advice: str) -> dict[str, Any]:
    """Read a JSON file whose content is one object.

    :param path: the file.
    :param advice: what to do if it is absent or damaged.
    :raises DataError: the file is absent, unreadable, not JSON, or not an object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(f"{path} does not exist. {advice}") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}). {advice}") from error
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, or nested too deeply
        raise DataError(f"{path} is damaged ({error}). {advice}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} is damaged: expected a JSON object. {advice}")
    return content
