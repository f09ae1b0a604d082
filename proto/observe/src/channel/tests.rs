//! Each channel against a real peer: sockets that read what comes, and programs.

use causeway_proto::time::Timestamp;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, UdpSocket};

use super::*;
use crate::rule::About;
use crate::telling::{Phase, Source};

pub(crate) fn telling() -> Telling {
    Telling {
        source: Source {
            program: "causeway-agent",
            name: "site-a".to_owned(),
        },
        phase: Phase::Raised,
        rule: "report-late".to_owned(),
        about: About::kept("KTR-4471".to_owned()),
        also: vec![About::kept("KTR-4472".to_owned())],
        sentence: "a report is not in the PACS".to_owned(),
        since: Timestamp(1_900_000_000_000_000),
        at: Timestamp(1_900_000_900_000_000),
        times: 1,
    }
}

fn channel(text: &str) -> Channel {
    let config: Config = serde_json::from_str(text).unwrap();
    let mut all = Channel::all(&config);
    assert_eq!(all.len(), 1);
    all.remove(0)
}

/// Reads one request and answers it with this status line.
async fn answer(listener: &TcpListener, status: &str) -> String {
    let (stream, _) = listener.accept().await.unwrap();
    let mut stream = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    let answer =
        format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nLocation: http://127.0.0.1:9/\r\n\r\n");
    stream.write_all(answer.as_bytes()).await.unwrap();
    format!("{head}\n{}", String::from_utf8(body).unwrap())
}

#[tokio::test]
async fn a_webhook_gets_json_and_whatever_is_no_success_is_a_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "Bearer sesame\nnot this\n").unwrap();
    let hook = channel(&format!(
        r#"{{"webhook": [{{"name": "duty", "url": "http://{}/in?key=k", "authorization_file": {token:?}}}]}}"#,
        listener.local_addr().unwrap()
    ));
    let telling = telling();
    let (sent, asked) = tokio::join!(hook.send(&telling), answer(&listener, "204 No Content"));
    sent.unwrap();
    let (head, body) = asked.split_once("\n\n").unwrap();
    assert!(head.starts_with("POST /in?key=k HTTP/1.1"), "{head}");
    let head = head.to_lowercase();
    assert!(head.contains("authorization: bearer sesame\r\n"), "{head}");
    assert!(head.contains("content-type: application/json"), "{head}");
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(
        body,
        serde_json::json!({
            "alarm": "report-late", "phase": "raised", "about": "KTR-4471", "also": ["KTR-4472"],
            "sentence": "a report is not in the PACS", "since": "2030-03-17T17:46:40Z", "at": "2030-03-17T18:01:40Z", "times": 1,
            "program": "causeway-agent", "name": "site-a",
        })
    );
    for status in ["500 Broken", "302 Found"] {
        let (sent, _) = tokio::join!(hook.send(&telling), answer(&listener, status));
        let said = sent.unwrap_err().sentence();
        assert!(said.contains(&status[..3]), "{said}");
    }
    drop(listener);
    let said = hook.send(&telling).await.unwrap_err().sentence();
    assert!(said.contains("refused") && !said.contains("key"), "{said}");
}

#[tokio::test]
async fn syslog_over_udp_and_tcp_is_one_line_of_rfc_5424() {
    let expect = "<129>1 2030-03-17T18:01:40Z site-a causeway-agent - report-late - \
                  report-late raised, KTR-4471 and 1 more: a report is not in the PACS";
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let udp = channel(&format!(
        r#"{{"syslog": [{{"name": "siem", "address": "{address}"}}]}}"#
    ));
    udp.send(&telling()).await.unwrap();
    let mut line = [0; 4096];
    let length = socket.recv(&mut line).await.unwrap();
    assert_eq!(std::str::from_utf8(&line[..length]).unwrap(), expect);

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tcp = channel(&format!(
        r#"{{"syslog": [{{"name": "siem", "address": "{address}", "transport": "tcp"}}]}}"#
    ));
    let read = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut all = String::new();
        stream.read_to_string(&mut all).await.unwrap();
        all
    };
    let message = telling();
    let (sent, all) = tokio::join!(tcp.send(&message), read);
    sent.unwrap();
    assert_eq!(all, format!("{} {expect}", expect.len()));
}

fn program(folder: &Path, text: &str) -> PathBuf {
    let program = folder.join("page");
    // by a child: while another child may have inherited the open file it could not be started (ETXTBSY of execve(2))
    let write = "printf %s \"$1\" >\"$0\" && chmod 700 \"$0\"";
    let mut shell = std::process::Command::new("sh");
    let shell = shell.args(["-c", write]).arg(&program).arg(text);
    assert!(shell.status().unwrap().success());
    program
}

#[tokio::test]
async fn a_program_gets_json_at_its_input_and_its_exit_code_counts() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let text = format!(
        "#!/bin/sh\ncat > {out}\necho \"$1\" >> {out}\n/usr/bin/env >> {out}\nexit $2\n",
        out = out.display()
    );
    let page = program(folder.path(), &text);
    let hook = |code| {
        channel(&format!(
            r#"{{"command": [{{"name": "page", "program": {page:?}, "arguments": ["$(id)", "{code}"]}}]}}"#
        ))
    };
    hook(0).send(&telling()).await.unwrap();
    let said = std::fs::read_to_string(&out).unwrap();
    let mut lines = said.lines();
    let json: serde_json::Value = serde_json::from_str(lines.next().unwrap()).unwrap();
    assert_eq!(json["alarm"], "report-late");
    assert_eq!(lines.next(), Some("$(id)"), "no shell has seen it");
    assert!(!said.contains("CARGO"), "{said}");
    let said = hook(3).send(&telling()).await.unwrap_err().sentence();
    assert!(said.contains('3'), "{said}");
    let nothing = channel(r#"{"command": [{"name": "page", "program": "/nowhere/page"}]}"#);
    assert!(nothing.send(&telling()).await.is_err());
}

#[tokio::test]
async fn a_program_that_does_not_end_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("pid");
    // a program of its own, so that whoever is killed is who would have gone on
    let text = format!("#!/bin/sh\necho $$ > {}\nexec sleep 600\n", out.display());
    let page = program(folder.path(), &text);
    let hook = channel(&format!(
        r#"{{"command": [{{"name": "page", "program": {page:?}}}]}}"#
    ));
    let message = telling();
    // on a busy machine it has not even begun when its time is over
    let mut limit = Duration::from_millis(500);
    let pid = loop {
        let within = hook.send_within(&message, limit);
        let said = within.await.unwrap_err().sentence();
        assert!(said.contains("not done"), "{said}");
        match std::fs::read_to_string(&out) {
            Ok(pid) if pid.ends_with('\n') => break pid,
            _ => limit *= 2,
        }
    };
    // the kernel has ended it when it is gone or waits to be reaped
    let state = || std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    while let Ok(stat) = state() {
        if stat.rsplit(')').next().unwrap().trim().starts_with('Z') {
            break;
        }
        tokio::task::yield_now().await;
    }
}

/// Plays a mail server for one message; answers what it was told, and closes.
async fn postman(listener: &TcpListener, last: &str) -> Vec<String> {
    let (stream, _) = listener.accept().await.unwrap();
    let mut stream = BufReader::new(stream);
    let mut told = Vec::new();
    stream.write_all(b"220 post\r\n").await.unwrap();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap() == 0 {
            return told;
        }
        let line = line.trim_end().to_owned();
        let word = line.split([' ', ':']).next().unwrap().to_uppercase();
        told.push(line);
        let answer = match word.as_str() {
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await.unwrap();
                loop {
                    let mut line = String::new();
                    stream.read_line(&mut line).await.unwrap();
                    if line == ".\r\n" {
                        break;
                    }
                    told.push(line.trim_end().to_owned());
                }
                last
            }
            "QUIT" => "221 bye",
            "RCPT" if told.iter().any(|line| line.contains("<gone@")) => "550 nobody here",
            _ => "250 well",
        };
        stream
            .write_all(format!("{answer}\r\n").as_bytes())
            .await
            .unwrap();
        if word == "QUIT" {
            return told;
        }
    }
}

#[tokio::test]
async fn a_mail_server_gets_a_mail_and_its_refusal_is_a_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let of = |tls: &str| {
        channel(&format!(
            r#"{{"mail": [{{"name": "office", "server": "{address}", "tls": "{tls}", "from": "Causeway <causeway@hospital.example>",
                "to": ["duty@hospital.example", "it@hospital.example"]}}]}}"#
        ))
    };
    let (mail, message) = (of("none"), telling());
    let post = || postman(&listener, "250 queued");
    let (sent, told, more) = tokio::join!(mail.send(&message), post(), post());
    assert_eq!(sent.unwrap(), None);
    let rcpt = |lines: &[String]| lines.iter().filter(|it| it.starts_with("RCPT")).count();
    assert_eq!((rcpt(&told), rcpt(&more)), (1, 1), "a letter for each");
    let told = [told, more].concat().join("\n");
    for line in [
        "MAIL FROM:<causeway@hospital.example>",
        "RCPT TO:<duty@hospital.example>",
        "RCPT TO:<it@hospital.example>",
        "Subject: [causeway] report-late raised, KTR-4471 and 1 more:",
        "Date: Sun, 17 Mar 2030 18:01:40",
        "Alarm  report-late, raised",
        "       KTR-4472",
    ] {
        assert!(told.contains(line), "{line} is not in\n{told}");
    }
    let mail = of("none");
    let post = || postman(&listener, "554 no");
    let (sent, ..) = tokio::join!(mail.send(&message), post(), post());
    let said = sent.unwrap_err().sentence();
    assert!(said.contains("554") || said.contains("no"), "{said}");
    // a server that does not go over to TLS gets nothing
    let mail = of("starttls");
    let post = || postman(&listener, "250 queued");
    let (sent, told, more) = tokio::join!(mail.send(&message), post(), post());
    sent.unwrap_err();
    let told = [told, more].concat();
    assert!(
        !told.iter().any(|line| line.starts_with("MAIL")),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_reader_who_is_refused_keeps_the_mail_from_no_other_and_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mail = channel(&format!(
        r#"{{"mail": [{{"name": "office", "server": "{address}", "tls": "none", "from": "causeway@hospital.example",
            "to": ["gone@hospital.example", "duty@hospital.example"]}}]}}"#
    ));
    let (message, post) = (telling(), || postman(&listener, "250 queued"));
    let (sent, told, more) = tokio::join!(mail.send(&message), post(), post());
    let remark = sent.unwrap().unwrap();
    assert!(
        remark.starts_with("gone@hospital.example: ") && remark.contains("nobody here"),
        "{remark}"
    );
    assert!(!remark.contains("duty@"), "{remark}");
    let told = [told, more].concat();
    let letters = told.iter().filter(|line| *line == "DATA").count();
    assert_eq!(letters, 1, "{told:?}");
}

#[tokio::test]
async fn a_channel_that_cannot_be_opened_says_why_and_closes_no_other() {
    let config: Config = serde_json::from_str(
        r#"{"webhook": [{"name": "a", "url": "http://127.0.0.1:9/", "authorization_file": "/nowhere/token"}],
            "mail": [{"name": "b", "server": "h:25", "from": "nobody at all", "to": ["x@y.example"]}],
            "command": [{"name": "c", "program": "/bin/true"}]}"#,
    )
    .unwrap();
    let all = Channel::all(&config);
    let mut said = Vec::new();
    for channel in &all {
        said.push(channel.send(&telling()).await.map_err(|it| it.sentence()));
    }
    assert!(said[0].as_ref().unwrap_err().contains("nobody at all"));
    assert!(said[1].as_ref().unwrap_err().contains("/nowhere/token"));
    assert_eq!(said[2], Ok(None));
}
