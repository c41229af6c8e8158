//! A directory of small files, each replaced as a whole, so that a reader sees an old value or a new one.

use super::metrics::Metrics;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Everybody may read, nobody may write.
const MODE: u32 = 0o444;

const README: &str = "\
This directory is kept up to date by `malaria watch`. Each file holds one value, as text; read it with any
program, as often as you like.
";

/// Names and contents, in the order of the table in `README.detailed`.
const FILES: [(&str, &str); 9] = [
    ("msgs_total", "Messages seen since the start"),
    ("msgs_stored", "Messages the broker keeps, as it last reported ($SYS/broker/messages/stored)"),
    (
        "drop_count",
        "Messages the broker dropped since its first report ($SYS/broker/publish/messages/dropped)",
    ),
    ("uptime", "Seconds of watching"),
    ("topic", "Filters that are subscribed to, one on each line"),
    ("metrics.json", "All values, as JSON; null is what the broker has not reported"),
    ("metrics.prom", "All values, as Prometheus reads them"),
    ("README", "What this is"),
    ("README.detailed", "This table"),
];

/// The directory; removed with its files at the end, unless somebody else had chosen it.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    temporary: bool,
}

impl Directory {
    /// Makes the directory where it is missing, and writes what never changes.
    pub fn open(given: Option<&Path>) -> io::Result<Directory> {
        let directory = match given {
            Some(path) => {
                fs::create_dir_all(path)?;
                Directory { path: path.into(), temporary: false }
            }
            None => {
                let name = format!("malaria-watch-{}-{:08x}", std::process::id(), rand::random::<u32>());
                let path = std::env::temp_dir().join(name);
                fs::DirBuilder::new().mode(0o700).create(&path)?;
                Directory { path, temporary: true }
            }
        };
        directory.replace("README", README.as_bytes())?;
        directory.replace("README.detailed", detailed().as_bytes())?;
        Ok(directory)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it goes away at the end.
    pub fn is_temporary(&self) -> bool {
        self.temporary
    }

    /// Replaces every file by its present value.
    pub fn update(&self, metrics: &Metrics) -> io::Result<()> {
        let number = |value: u64| format!("{value}\n");
        // A plain file has no null: what the broker has not reported is 0, as it always was.
        let files = [
            ("msgs_total", number(metrics.msgs_total)),
            ("msgs_stored", number(metrics.msgs_stored.unwrap_or(0))),
            ("drop_count", number(metrics.drop_count.unwrap_or(0))),
            ("uptime", number(metrics.uptime)),
            ("topic", metrics.topic.iter().map(|filter| format!("{filter}\n")).collect()),
            ("metrics.json", metrics.json()),
            ("metrics.prom", metrics.prometheus()),
        ];
        files.iter().try_for_each(|(name, text)| self.replace(name, text.as_bytes()))
    }

    /// Writes beside the file, hidden, and renames: the rename is atomic.
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let beside = self.path.join(format!(".{name}.{}", std::process::id()));
        // Nobody else has a file of this name, unless a process of the same number left it behind.
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&beside)?;
        let written = file
            .write_all(bytes)
            .and_then(|()| file.set_permissions(Permissions::from_mode(MODE)))
            .and_then(|()| fs::rename(&beside, self.path.join(name)));
        if written.is_err() {
            // The error that counts is the first one.
            fs::remove_file(&beside).ok();
        }
        written
    }

    /// Removes what was made. Files of others in it stay, and the directory with them.
    pub fn close(self) -> io::Result<()> {
        if !self.temporary {
            return Ok(());
        }
        for (name, _) in FILES {
            match fs::remove_file(self.path.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::remove_dir(&self.path)
    }
}

fn detailed() -> String {
    let width = FILES.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let rows = FILES.iter().map(|(name, what)| format!("{name:width$}  {what}\n"));
    format!("{:width$}  Description\n{}", "File", rows.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(msgs_total: u64) -> Metrics {
        Metrics {
            msgs_total,
            msgs_stored: Some(7),
            drop_count: None,
            uptime: 3,
            topic: vec!["a/+".into(), "b/#".into()],
        }
    }

    /// checklist 63: each value in a plain file that anybody may read, updated as it goes.
    #[test]
    fn every_value_is_a_file() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("made/if/missing");
        let directory = Directory::open(Some(&path)).unwrap();
        directory.update(&metrics(5)).unwrap();
        let read = |name: &str| fs::read_to_string(path.join(name)).unwrap();
        let values = ["msgs_total", "msgs_stored", "drop_count", "uptime", "topic"].map(read);
        assert_eq!(values, ["5\n", "7\n", "0\n", "3\n", "a/+\nb/#\n"]);
        directory.update(&metrics(6)).unwrap();
        assert_eq!(read("msgs_total"), "6\n");
        for (name, _) in FILES {
            let mode = fs::metadata(path.join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o444, "{name}");
            assert!(read("README.detailed").contains(name));
        }
        let entries = fs::read_dir(&path).unwrap().count();
        assert_eq!(entries, FILES.len(), "nothing hidden stays behind");
        directory.close().unwrap();
        assert!(path.join("msgs_total").exists(), "a directory that was given is left as it is");
    }

    /// checklist 63: a reader sees a whole value at every moment, and one that has a file open keeps it.
    #[test]
    fn a_file_is_replaced_and_not_written_over() {
        use std::io::Read;
        let parent = tempfile::tempdir().unwrap();
        let directory = Directory::open(Some(parent.path())).unwrap();
        directory.update(&metrics(1)).unwrap();
        let mut open = fs::File::open(parent.path().join("msgs_total")).unwrap();
        directory.update(&metrics(22_222)).unwrap();
        let mut text = String::new();
        open.read_to_string(&mut text).unwrap();
        assert_eq!(text, "1\n");
    }

    #[test]
    fn a_directory_of_its_own_goes_away_at_the_end() {
        let directory = Directory::open(None).unwrap();
        let path = directory.path().to_owned();
        assert!(directory.is_temporary());
        directory.update(&metrics(1)).unwrap();
        directory.close().unwrap();
        assert!(!path.exists());
        let directory = Directory::open(None).unwrap();
        let foreign = directory.path().join("mine");
        fs::write(&foreign, "of somebody else").unwrap();
        let path = directory.path().to_owned();
        assert!(directory.close().is_err(), "what is not ours is not removed");
        assert!(foreign.exists());
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn a_place_that_cannot_be_written_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(Directory::open(Some(file.path())).is_err());
    }
}
