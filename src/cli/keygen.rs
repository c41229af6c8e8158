//! `keygen`: key files as mosquitto's `psk_file` takes them, and their pieces.

use super::args::KeygenArgs;
use super::output::tell;
use super::{Environment, Usage};
use crate::record::Exit;
use rand::TryRng;
use rand::rngs::SysRng;
use std::fs::{OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Characters of a key: 160 bits, read as hexadecimal.
const KEY_LEN: usize = 40;
const ALPHABET: &[u8; 22] = b"0123456789abcdefABCDEF";

pub fn run(args: &KeygenArgs) -> anyhow::Result<Exit> {
    if args.split {
        split(&args.infile, args.count as usize)?;
    } else {
        let identities = Identities::new(&args.template, args.count)?;
        let mut text = String::new();
        for number in 1..=args.count {
            text += &format!("{}:{}\n", identities.of(number), key()?);
        }
        write(&args.file, text.as_bytes())?;
    }
    Ok(Exit::Clean)
}

/// A template of identities: text around one `%d`.
struct Identities(Vec<String>);

impl Identities {
    fn new(template: &str, count: u32) -> Result<Identities, Usage> {
        let error = |what: &str| Err(Usage(format!("--template `{template}`: {what}")));
        let mut parts = vec![String::new()];
        let mut chars = template.chars();
        while let Some(char) = chars.next() {
            match (char, (char == '%').then(|| chars.next()).flatten()) {
                ('%', Some('%')) => parts.last_mut().expect("never empty").push('%'),
                ('%', Some('d')) => parts.push(String::new()),
                ('%', field) => {
                    let field = field.map(String::from).unwrap_or_default();
                    return error(&format!("unknown field `%{field}`; there are %d and %%"));
                }
                (char, _) => parts.last_mut().expect("never empty").push(char),
            }
        }
        if template.is_empty() || template.contains([':', '\n', '\r', '\0']) {
            return error("an identity has at least one character, and neither `:` nor line ends");
        }
        if parts.len() == 1 && count > 1 {
            return error(&format!("{count} identities need %d, their number"));
        }
        Ok(Identities(parts))
    }

    fn of(&self, number: u32) -> String {
        self.0.join(&number.to_string())
    }
}

/// A key from the random numbers of the operating system.
fn key() -> Result<String, Environment> {
    let mut key = String::with_capacity(KEY_LEN);
    let mut bytes = [0; 2 * KEY_LEN];
    while key.len() < KEY_LEN {
        let random = SysRng.try_fill_bytes(&mut bytes);
        random.map_err(|error| Environment(format!("no random numbers from the system: {error}")))?;
        // 242 is the largest multiple of 22 in a byte: what is above would favour some characters.
        let even = bytes.iter().filter(|byte| **byte < 242);
        let chars = even.map(|byte| char::from(ALPHABET[usize::from(byte % 22)]));
        key.extend(chars.take(KEY_LEN - key.len()));
    }
    Ok(key)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Environment> {
    let written = match path == Path::new("-") {
        true => std::io::stdout().lock().write_all(bytes),
        false => write_private(path, bytes),
    };
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Environment(format!("{}: {error}; choose a file that can be written", path.display())))
        }
        _ => Ok(()),
    }
}

/// Writes a file that its owner alone can read (mode 0600), whoever could read what was there before. Pipes and
/// devices stay as they are.
fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    if file.metadata()?.is_file() {
        // Before the first secret is in it.
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.set_len(0)?;
    }
    file.write_all(bytes)
}

/// Writes the lines of `file` to `count` files beside it.
fn split(file: &Path, count: usize) -> anyhow::Result<()> {
    if file == Path::new("-") {
        return Err(Usage("--split: the pieces are named after a file; name it with --infile".into()).into());
    }
    let text = std::fs::read(file).map_err(|error| Usage(format!("--infile {}: {error}", file.display())))?;
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    if lines.len() < count {
        return Err(Usage(format!(
            "--count {count}: {} has {} lines; choose at most as many pieces",
            file.display(),
            lines.len()
        ))
        .into());
    }
    tell(format_args!("splitting {} inputs into {count} pieces", lines.len()));
    for (number, piece) in pieces(&lines, count).enumerate() {
        let path = piece_of(file, number + 1);
        tell(format_args!("writing {} entries to {}", piece.len(), path.display()));
        let mut bytes = piece.concat();
        if bytes.last() != Some(&b'\n') {
            bytes.push(b'\n');
        }
        write(&path, &bytes)?;
    }
    Ok(())
}

fn piece_of(file: &Path, number: usize) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".chunked.{number}"));
    name.into()
}

/// `count` runs of `lines` that differ by at most one in length, and together are all of them.
fn pieces<T>(lines: &[T], count: usize) -> impl Iterator<Item = &[T]> {
    let (length, longer) = (lines.len() / count, lines.len() % count);
    let start = move |piece: usize| piece * length + piece.min(longer);
    (0..count).map(move |piece| &lines[start(piece)..start(piece + 1)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::keys;
    use clap::Parser;
    use proptest::prelude::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: KeygenArgs,
    }

    fn keygen(words: &[&str]) -> anyhow::Result<Exit> {
        run(&Line::try_parse_from([&["keygen"], words].concat())?.args)
    }

    /// checklist 73: a template with %d, and keys that mosquitto takes: hexadecimal only.
    #[test]
    fn keys_are_hexadecimal_and_numbered_from_1() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("keys");
        keygen(&["-n", "300", "-t", "100%%-%d!", "-f", file.to_str().unwrap()]).unwrap();
        let keys = keys::read_psk(&file).unwrap();
        assert_eq!(keys.len(), 300);
        let names = [0, 299].map(|place| keys.get(place).unwrap().0);
        assert_eq!(names, [&b"100%-1!"[..], b"100%-300!"]);
        let text = std::fs::read_to_string(&file).unwrap();
        let keys: Vec<&str> = text.lines().map(|line| line.rsplit_once(':').unwrap().1).collect();
        assert!(keys.iter().all(|key| key.len() == KEY_LEN));
        let distinct: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), 300);
        let characters: std::collections::HashSet<_> = keys.iter().flat_map(|key| key.bytes()).collect();
        assert_eq!(characters, ALPHABET.iter().copied().collect(), "both cases, as malaria's keys");
    }

    /// checklist 73: K files with every line exactly once; malaria gave the last one all that was left over.
    #[test]
    fn a_split_has_every_line_in_exactly_one_piece() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("keys");
        let lines: Vec<String> = (0..11).map(|line| format!("user-{line}:0a\n")).collect();
        // the last line need not end
        std::fs::write(&file, lines.concat().trim_end()).unwrap();
        keygen(&["-s", "-n", "4", "-F", file.to_str().unwrap()]).unwrap();
        let read = |piece| std::fs::read_to_string(piece_of(&file, piece)).unwrap();
        let counts: Vec<usize> = (1..=4).map(|piece| read(piece).lines().count()).collect();
        assert_eq!(counts, [3, 3, 3, 2]);
        assert_eq!((1..=4).map(read).collect::<String>(), lines.concat());
        assert!(!piece_of(&file, 5).exists());
    }

    /// Secrets are for their owner, also where everybody could read what was there.
    #[test]
    fn key_files_are_private() {
        let directory = tempfile::tempdir().unwrap();
        let mode = |file: &Path| std::fs::metadata(file).unwrap().permissions().mode() & 0o7777;
        let (new, old) = (directory.path().join("new"), directory.path().join("old"));
        std::fs::write(&old, "x".repeat(10_000)).unwrap();
        std::fs::set_permissions(&old, Permissions::from_mode(0o666)).unwrap();
        for file in [&new, &old] {
            keygen(&["-n", "2", "-f", file.to_str().unwrap()]).unwrap();
            assert_eq!((mode(file), keys::read_psk(file).unwrap().len()), (0o600, 2), "{}", file.display());
        }
        std::fs::write(piece_of(&new, 2), "").unwrap();
        keygen(&["-s", "-n", "2", "-F", new.to_str().unwrap()]).unwrap();
        assert_eq!((mode(&piece_of(&new, 1)), mode(&piece_of(&new, 2))), (0o600, 0o600));
        // What is no file keeps its mode, and its length.
        let device = mode(Path::new("/dev/null"));
        keygen(&["-f", "/dev/null"]).unwrap();
        assert_eq!(mode(Path::new("/dev/null")), device);
    }

    proptest! {
        #[test]
        fn pieces_are_equal_but_for_one(lines: Vec<u8>, count in 1usize..50) {
            let pieces: Vec<&[u8]> = pieces(&lines, count).collect();
            prop_assert_eq!(pieces.len(), count);
            prop_assert_eq!(pieces.concat(), &lines[..]);
            let longest = pieces.iter().map(|piece| piece.len()).max().unwrap();
            prop_assert!(pieces.iter().all(|piece| piece.len() + 1 >= longest));
        }
    }

    #[test]
    fn what_gives_no_key_file_is_a_usage_error() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("few");
        std::fs::write(&file, "a:1\nb:2\n").unwrap();
        let few = file.to_str().unwrap();
        for (words, part) in [
            (&["-t", "a-%s"][..], "`%s`"),
            (&["-t", "same"], "%d"),
            (&["-t", "a:%d"], "`:`"),
            (&["-t", ""], "at least one character"),
            (&["-s"], "--infile"),
            (&["-s", "-n", "3", "-F", few], "has 2 lines"),
            (&["-s", "-F", "/nowhere/at/all"], "/nowhere/at/all"),
            (&["-n", "0"], "0"),
        ] {
            let error = keygen(words).unwrap_err().to_string();
            assert!(error.contains(part), "{words:?}: {error}");
        }
        assert!(keygen(&["-f", "/nowhere/at/all"]).unwrap_err().is::<Environment>());
    }
}
