//! Records of the main job, from files and from folders of them.

use super::Usage;
use crate::record::{Finished, Record, RecordError};
use std::path::{Path, PathBuf};

/// The records at `paths`, in their order; those of a folder by name. What else is in a folder is passed over.
///
/// # Errors
/// A file that is no record, or a folder without any.
pub fn read(paths: &[PathBuf]) -> Result<Vec<Record>, Usage> {
    let all: Vec<Vec<Record>> = paths.iter().map(|path| read_one(path)).collect::<Result<_, _>>()?;
    Ok(all.into_iter().flatten().collect())
}

fn read_one(path: &Path) -> Result<Vec<Record>, Usage> {
    if !path.is_dir() {
        return record(path)?.map_or_else(
            || Err(usage(path, &"not a record of the main job; give a file that its --json wrote")),
            |record| Ok(vec![record]),
        );
    }
    let entries = std::fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let mut files: Vec<PathBuf> =
        entries.map_err(|error| usage(path, &error))?.into_iter().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let records = files.iter().filter_map(|file| record(file).transpose()).collect::<Result<Vec<_>, _>>()?;
    if records.is_empty() {
        return Err(usage(path, &"there is no record of the main job in it"));
    }
    Ok(records)
}

/// `None` for JSON of something else.
fn record(path: &Path) -> Result<Option<Record>, Usage> {
    let text = std::fs::read_to_string(path).map_err(|error| usage(path, &error))?;
    match Finished::from_json(&text) {
        Ok(Finished::Run(record)) => Ok(Some(*record)),
        Ok(Finished::Fleet(_)) | Err(RecordError::Schema { .. } | RecordError::Absent) => Ok(None),
        Err(error) => Err(usage(path, &error)),
    }
}

fn usage(path: &Path, what: &dyn std::fmt::Display) -> Usage {
    Usage(format!("{}: {what}", path.display()))
}
