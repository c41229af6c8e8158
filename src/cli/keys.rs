//! Files of keys and of passwords: lines of `name:secret`. Empty lines and those that begin with `#` are
//! passed over, as mosquitto does.

use super::Usage;
use crate::crew::{Field, Identities, Packing};
use crate::transport::Keys;
use std::collections::HashMap;
use std::path::Path;

/// The keys of mosquitto's `psk_file` format, `identity:hexkey`.
pub fn read_psk(file: &Path) -> Result<Keys, Usage> {
    let mut keys = Keys::default();
    lines("--psk_file", file, |identity, key| keys.push(identity, key).map_err(|error| error.to_string()))?;
    Ok(keys)
}

/// The same, one for each of `clients`.
pub fn for_all(file: &Path, clients: usize) -> Result<Keys, Usage> {
    let keys = read_psk(file)?;
    match keys.len() {
        few if few < clients => Err(Usage(format!(
            "--psk_file {}: it has {few} keys, but there are {clients} clients; every client needs one",
            file.display(),
        ))),
        _ => Ok(keys),
    }
}

/// Where each identity is among `keys`.
pub fn places(keys: &Keys) -> HashMap<&[u8], u32> {
    let all = (0..keys.len() as u32).filter_map(|place| Some((keys.get(place)?.0, place)));
    all.collect()
}

/// User names and passwords, of `clients` at most; a password may contain `:`.
pub fn read_credentials(file: &Path, clients: usize) -> Result<Identities, Usage> {
    let fields = vec![Field::Username, Field::Password];
    let mut packing = Packing::new(fields, vec!["username", "password"]);
    let pairs = lines("--credentials", file, |user, password| {
        if user.len().max(password.len()) > usize::from(u16::MAX) {
            return Err("MQTT allows at most 65,535 bytes for a user name or password".into());
        }
        if user.contains('\0') {
            return Err("MQTT forbids the character U+0000 in a user name".into());
        }
        [user, password]
            .into_iter()
            .try_for_each(|cell| packing.push(cell.as_bytes()))
            .map_err(|e| e.to_string())
    })?;
    match pairs.len() {
        few if few < clients => Err(Usage(format!(
            "--credentials {}: it has {few} lines, but there are {clients} clients; every client needs one",
            file.display(),
        ))),
        _ => Ok(packing.finish()),
    }
}

fn lines<T>(
    flag: &str,
    file: &Path,
    mut read: impl FnMut(&str, &str) -> Result<T, String>,
) -> Result<Vec<T>, Usage> {
    let bytes = std::fs::read(file).map_err(|error| Usage(format!("{flag} {}: {error}", file.display())))?;
    let mut entries = Vec::new();
    for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let entry = match std::str::from_utf8(line).map(|line| line.split_once(':')) {
            Err(_) => Err("not UTF-8".into()),
            Ok(Some((name, secret))) if !name.is_empty() && !secret.is_empty() => read(name, secret),
            Ok(_) => Err("expected `name:secret`".into()),
        };
        // Never with the line itself: it holds a secret.
        entries.push(
            entry.map_err(|what| Usage(format!("{flag} {}, line {}: {what}", file.display(), number + 1)))?,
        );
    }
    match entries.is_empty() {
        true => Err(Usage(format!("{flag} {}: there is no line `name:secret` in it", file.display()))),
        false => Ok(entries),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    /// checklist 32, the part without TLS: a file in mosquitto's format.
    #[test]
    fn keys_are_read_as_mosquitto_reads_them() {
        let keys = read_psk(file(b"# made by keygen\n\nbee-1:0aF9\r\nbee-2:00\n").path()).unwrap();
        assert_eq!(keys.get(0), Some((&b"bee-1"[..], &[0x0a, 0xf9][..])));
        assert_eq!(keys.len(), 2);
    }

    #[test]
    fn a_password_may_contain_a_colon() {
        let pairs = read_credentials(file(b"user:a:b\nother:c").path(), 2).unwrap();
        assert_eq!((pairs.username(0), pairs.password(0)), (Some("user"), Some(&b"a:b"[..])));
        assert_eq!((pairs.username(1), pairs.password(1)), (Some("other"), Some(&b"c"[..])));
    }

    /// The number of the line is named, its secret is not.
    #[test]
    fn malformed_lines_are_named_by_number() {
        for (text, part) in [
            (&b"a:00\nb:secret\n"[..], "line 2: the key is not hexadecimal"),
            (b"a:00\n\n# c\nsecret\n", "line 4: expected `name:secret`"),
            (b":00\n", "line 1"),
            (b"a:\n", "line 1"),
            (b"a:00\n\xff:00\n", "line 2: not UTF-8"),
            (b"\n# nothing\n", "no line"),
        ] {
            let error = read_psk(file(text).path()).unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains(":secret\n"), "{error}");
        }
        let error = read_credentials(Path::new("/nowhere/at/all"), 1).unwrap_err().to_string();
        assert!(error.contains("--credentials /nowhere/at/all"), "{error}");
    }
}
