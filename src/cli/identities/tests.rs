use super::*;
use std::io::Write;

fn any_topic(_: u32, topic: &str) -> Result<(), String> {
    if topic.contains('#') { Err("no wildcard".into()) } else { Ok(()) }
}

fn crowd(clients: usize) -> Crowd<'static> {
    Crowd {
        clients,
        has_username: false,
        has_certificates: false,
        keys: None,
        topics: Topics::Each(&any_topic),
    }
}

fn file(text: impl AsRef<[u8]>) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_ref()).unwrap();
    file
}

fn found(text: impl AsRef<[u8]>, clients: usize) -> Result<Found, String> {
    read(file(text).path().to_str().unwrap(), &crowd(clients)).map_err(|error| error.to_string())
}

/// The columns in any order, quoting as CSV has it, lines as any system ends them, a mark before them.
#[test]
fn each_line_is_a_client() {
    for end in ["\n", "\r\n"] {
        let text = [
            "\u{feff}topic,id,password,username,source",
            "a/b,dev-0,\"p,\"\"w\",u0,127.0.0.3",
            "",
            "\"two\nlines\",dev-1,,\"u 1\",",
            ",,,,127.0.0.4",
            "never,read,x,y,z,too,many",
        ]
        .join(end);
        let Found { identities, sources, .. } = found(text, 3).unwrap();
        let of = |index| {
            let password = identities.password(index).map(<[u8]>::to_vec);
            (identities.id(index), identities.username(index), password, identities.topic(index))
        };
        assert_eq!(of(0), (Some("dev-0"), Some("u0"), Some(b"p,\"w".to_vec()), Some("a/b")), "{end:?}");
        assert_eq!(of(1), (Some("dev-1"), Some("u 1"), None, Some("two\nlines")), "{end:?}");
        assert_eq!(of(2), (None, None, None, None));
        let sources = crate::engine::Sources::default().with_own(sources);
        let own = |index| sources.own(index).map(|own| own.to_string());
        assert_eq!([own(0), own(1), own(2)].map(Option::unwrap_or_default), ["127.0.0.3", "", "127.0.0.4"]);
        assert_eq!(identities.columns(), ["topic", "id", "password", "username", "source"]);
    }
    let some = found("id\n\"\"\n\nb\n", 2).unwrap().identities;
    assert_eq!(
        (some.id(0), some.id(1)),
        (None, Some("b")),
        "a line with an empty cell is one, an empty line is none"
    );
    assert_eq!(found("id\nlast", 1).unwrap().identities.id(0), Some("last"), "without an end");
}

#[test]
fn a_password_may_lie_in_a_file() {
    let secret = file("p\u{e4}ss\n");
    let text = format!("username,password_file\nbee,{}\nant,\n", secret.path().display());
    let identities = found(text, 2).unwrap().identities;
    assert_eq!((identities.password(0), identities.password(1)), (Some("p\u{e4}ss".as_bytes()), None));
    assert_eq!(identities.columns(), ["username", "password_file"]);
}

#[test]
fn a_pattern_is_a_line_for_everybody() {
    let identities = read("id=dev-%i,\"topic=a,%i/b\",source=127.0.0.9", &crowd(12)).unwrap().identities;
    assert_eq!((identities.id(11), identities.topic(0)), (Some("dev-11"), Some("a,0/b")));
    let error = |text: &str| read(text, &crowd(2)).unwrap_err().to_string();
    for (text, part) in [
        ("id=same", "clients 0 and 1 have the same; put %i into it"),
        ("username=u,password=geheim", ", column `password`: it would be in the command line"),
        ("id=dev-%i,colour=red", "column 2 has no known name"),
        ("id=dev-%i,red", "expected COLUMN=TEXT"),
        ("topic=#", "column `topic`: no wildcard"),
    ] {
        let error = error(text);
        assert!(error.contains(part) && error.starts_with("--clients-file"), "{text}: {error}");
    }
    assert!(error("colour=red").contains("--clients-file colour=red: No such file"), "no column, so a file");
}

/// The line and the column are named, and what mends it.
#[test]
fn what_is_wrong_is_told_by_line_and_column() {
    let long = format!("id\n{}\n", "x".repeat(65_536));
    for (text, clients, part) in [
        ("", 1, ": it is empty; its first line names the columns, some of id,username"),
        ("id\na\nb\n", 3, ": it has 2 lines, but there are 3 clients; every client needs one"),
        ("id,colour\na,b\n", 1, ", line 1: column 2 has no known name"),
        ("id,topic,id\na,b,c\n", 1, ", line 1, column `id`: it is there twice"),
        (
            "password,password_file\na,b\n",
            1,
            "column `password_file`: there is a column `password`, too; leave one out",
        ),
        ("id,topic\na,b\n\nc\n", 2, ", line 4: 1 cells for 2 columns"),
        ("id,topic\n\"a\n\n\",b\nc,#\n", 2, ", line 5, column `topic`: no wildcard"),
        ("id,topic\n\"a\n\nb\",#\n", 1, ", line 2, column `topic`: no wildcard"),
        ("id,topic\r\n\r\na,b\r\nc,#\r\n", 2, ", line 4, column `topic`: no wildcard"),
        ("username,password\nu,p\n,p\n", 2, ", line 3, column `password`: a password needs a user name"),
        ("source\n127.0.0.1\n127.1\n", 2, ", line 3, column `source`: expected an address"),
        ("source\n203.0.113.77\n", 1, ", line 2, column `source`: 203.0.113.77 is no address of this"),
        ("username,password_file\nu,/nowhere\n", 1, "column `password_file`: the file it names: No such"),
        ("id\na\0\n", 1, ", line 2, column `id`: the character U+0000"),
        ("id\na\n\nb\nc\nb\n", 4, ", column `id`: line 4 and line 6 have the same"),
        (long.as_str(), 1, ", line 2, column `id`: 65536 bytes; MQTT allows at most 65,535"),
        ("cert\nx\n", 1, ", line 1, column `cert`: a certificate needs a key; give both columns"),
        ("key,cert\nx,y\n", 1, ", line 1, column `cert`: it is for TLS with certificates; ask for that"),
        (
            "id,psk_identity\nx,y\n",
            1,
            "column `psk_identity`: it is for TLS-PSK; name the file of the keys with --psk_file",
        ),
    ] {
        let error = found(text, clients).unwrap_err();
        assert!(error.contains(part) && error.starts_with("--clients-file /"), "{part}: {error}");
    }
    let not_text = found(b"username\n\xff\n", 1).unwrap_err();
    assert!(not_text.contains("line 2") && not_text.contains("not UTF-8"), "{not_text}");
    let Err(error) = read("topic=t", &Crowd { topics: Topics::None("not here"), ..crowd(1) }) else {
        panic!()
    };
    assert!(error.to_string().contains("column `topic`: not here"), "{error}");
}

#[test]
fn clients_have_the_keys_of_their_names() {
    let keys = Some(HashMap::from([(&b"a"[..], 0), (&b"b"[..], 1), (&b"c"[..], 2)]));
    let crowd = Crowd { keys, ..crowd(3) };
    let read = |text: &str| read(file(text).path().to_str().unwrap(), &crowd);
    let found = read("psk_identity,id\nc,x\n,y\na,z\n").unwrap();
    assert_eq!((&found.keys[..], found.identities.id(0)), (&[2, 1, 0][..], Some("x")));
    let error = read("psk_identity\nc\nd\na\n").unwrap_err().to_string();
    assert!(
        error.contains(", line 3, column `psk_identity`: there is no key of this name in --psk_file"),
        "{error}"
    );
}

/// Neither an error nor what is printed for whoever looks for one has anything from the file in it.
#[test]
fn no_secret_is_told() {
    for (text, clients) in [
        ("alice,hunter2\nbob,hunter2\n", 1),
        ("username,password\nalice,hunter2\n", 2),
        ("username,password\nalice,hunter2,hunter2\n", 1),
        ("id,password\nalice,hunter2\n", 1),
        ("source,username\nhunter2,alice\n", 1),
        ("username,password_file\nalice,hunter2\n", 1),
        ("id,topic\nhunter2,t\nhunter2,alice\n", 2),
        ("username\n\"hunter2\0alice\"\n", 1),
    ] {
        let error = found(text, clients).unwrap_err();
        assert!(!error.contains("hunter2") && !error.contains("alice"), "{error}");
    }
    let known = found("username,password\nalice,hunter2\n", 1).unwrap();
    let told = format!("{known:?}{known:#?}");
    assert!(!told.contains("hunter2") && !told.contains("alice"), "{told}");
    let bytes = format!("{:?}", "hunter2".as_bytes());
    assert!(!told.contains(bytes.trim_matches(['[', ']'])), "{told}");
}

/// A line that is read is not a text for each cell.
#[test]
fn many_clients_take_what_the_file_takes() {
    let mut text = "id,username,password\n".to_owned();
    let clients = 10_000;
    (0..clients).for_each(|i| text += &format!("device-{i:05},user-{i:05},secret-{i:05}\n"));
    let identities = found(&text, clients).unwrap().identities;
    assert_eq!(identities.password(9_999), Some(&b"secret-09999"[..]));
    assert_eq!(identities.bytes(), clients * ("device-00000user-00000secret-00000".len() + 3 * 4));
}
