//! The whole agent on loopback, without a gateway: it receives, answers at its socket, ends when it is told, and begins again.

use std::net::SocketAddr;

use causeway_certs::authority::{LinkAuthority, SignerAuthority};
use causeway_certs::enrol::{Enrolled, NewKey};
use causeway_proto::dataset::{Dataset, Value};
use causeway_proto::ids::StudyUid;
use dicom_core::VR;
use dicom_dictionary_std::tags;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::oneshot;

use super::*;
use crate::delivery::{Destination, PageImage, Parcel, SendOutcome};
use crate::observe::control::{Answer, Ask, ControlError, ask};
use crate::observe::status::{self, Status};
use crate::spool::OpenError;

const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
const EXPLICIT: &str = "1.2.840.10008.1.2.1";

/// Keys as enrolment leaves them, minted by authorities of the test's own.
fn enrol(spool: &Path) {
    let authorities = tempfile::tempdir().unwrap();
    let (clock, random) = (clock(), random());
    let link = LinkAuthority::open_or_create(authorities.path(), &clock, &random).unwrap();
    let signer = SignerAuthority::open_or_create(authorities.path(), &clock, &random).unwrap();
    let key = NewKey::draw().unwrap();
    let site = "site-a".parse().unwrap();
    let issued = link
        .issue_site(&site, key.request(), clock.now(), &random)
        .unwrap();
    let answer = Enrolled {
        certificate: issued.der.to_vec().into(),
        link_authority: link.certificate().to_vec().into(),
        signer_authority: signer.certificate().to_vec().into(),
        site,
        name: "Hospital A".to_owned(),
        agreements: vec![],
        now: clock.now(),
    };
    make_folder(spool).unwrap();
    let credentials = key.with(&answer).unwrap();
    credentials.keep(&keys(spool), &random).unwrap();
}

fn config(spool: &Path) -> Config {
    let text = format!(
        "spool = \"{}\"\n[gateway]\naddress = \"127.0.0.1:9\"\n[dicom]\nlisten = \"127.0.0.1:0\"\n\
         [[dicom.called]]\nae_title = \"CAUSEWAY\"\npurpose = \"read\"\n\
         [[dicom.calling]]\nae_title = \"PACS\"\naddresses = [\"127.0.0.1\"]\nkind = \"pacs\"\n\
         [complete]\npacs_silence_s = 3600\n[site_page]\nlisten = \"127.0.0.1:0\"\n[disk]\nsoft_floor_bytes = 0\nhard_floor_bytes = 0\n",
        spool.display()
    );
    Config::parse(&text).unwrap()
}

/// An agent in this process.
struct Agent {
    end: oneshot::Sender<()>,
    ended: tokio::task::JoinHandle<anyhow::Result<()>>,
    dicom: SocketAddr,
    health: Option<SocketAddr>,
    config: Config,
}

fn is_locked(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(OpenError::Locked))
}

impl Agent {
    async fn start(folder: &Path) -> Self {
        Self::start_with(config(folder), folder).await
    }

    async fn start_with(config: Config, folder: &Path) -> Self {
        ports::remove(folder).unwrap();
        let credentials = Credentials::load(&keys(folder)).unwrap();
        let mut tries = 0;
        let spool = loop {
            match open_spool(&config).await {
                // of the agent before, something may still end on a blocking thread
                Err(error) if is_locked(&error) && tries < 1_000_000 => {
                    tokio::task::yield_now().await;
                }
                opened => break opened.unwrap(),
            }
            tries += 1;
        };
        let running = Running::start(config.clone(), credentials, spool)
            .await
            .unwrap();
        let ports = std::fs::read_to_string(folder.join("ports.json")).unwrap();
        let ports: serde_json::Value = serde_json::from_str(&ports).unwrap();
        let (end, told) = oneshot::channel();
        let told = async { drop(told.await) };
        Self {
            end,
            ended: TaskTracker::new().spawn(running.until(told)),
            health: ports["health"].as_str().map(|text| text.parse().unwrap()),
            dicom: ports["dicom"].as_str().unwrap().parse().unwrap(),
            config,
        }
    }

    async fn stop(self) {
        self.end.send(()).unwrap();
        self.ended.await.unwrap().unwrap();
    }

    async fn send(&self, instance: &str) -> SendOutcome {
        let to = Destination {
            name: "agent".to_owned(),
            ae_title: "CAUSEWAY".parse().unwrap(),
            address: self.dicom.to_string(),
            calling_ae_title: "PACS".parse().unwrap(),
            page_image: PageImage::Never,
        };
        dicom::send::store(&to, &image("1.2.3", instance)).await
    }

    async fn ask(&self, what: Ask) -> Answer {
        ask(&self.config.spool, &what).await.unwrap()
    }

    async fn status(&self) -> Status {
        match self.ask(Ask::Status).await {
            Answer::Status(status) => *status,
            other => panic!("{other:?}"),
        }
    }
}

fn image(study: &str, instance: &str) -> Parcel {
    let mut dataset = Dataset::new();
    for (tag, vr, text) in [
        (tags::SOP_CLASS_UID, VR::UI, CT),
        (tags::SOP_INSTANCE_UID, VR::UI, instance),
        (tags::ACCESSION_NUMBER, VR::SH, "ACC-7"),
        (tags::MODALITY, VR::CS, "CT"),
        (tags::PATIENT_NAME, VR::PN, "Test^Phantom"),
        (tags::PATIENT_ID, VR::LO, "PID-7"),
        (tags::STUDY_INSTANCE_UID, VR::UI, study),
        (tags::SERIES_INSTANCE_UID, VR::UI, "1.2.3.4"),
    ] {
        dataset.put_text(tag, vr, text);
    }
    dataset.put(tags::PIXEL_DATA, VR::OW, Value::Bytes(vec![7; 300_000]));
    Parcel {
        study: study.parse::<StudyUid>().unwrap(),
        class: CT.parse().unwrap(),
        instance: instance.parse().unwrap(),
        syntax: EXPLICIT.parse().unwrap(),
        dataset: dataset.write().into(),
    }
}

#[tokio::test]
async fn the_agent_receives_answers_ends_and_begins_again() {
    let folder = tempfile::tempdir().unwrap();
    let spool = folder.path().join(
        "a-folder-with-a-name-so-long-that-no-socket-could-have-it-as-its-path-on-linux/spool",
    );
    std::fs::create_dir_all(&spool).unwrap();
    enrol(&spool);
    let agent = Agent::start(&spool).await;
    for instance in ["1.2.3.1", "1.2.3.2"] {
        assert_eq!(agent.send(instance).await, SendOutcome::Stored(0));
    }
    assert_eq!(agent.send("1.2.3.2").await, SendOutcome::Stored(0), "again");
    let status = agent.status().await;
    assert!(status.running);
    assert_eq!(status.admission.as_deref(), Some("open"));
    assert_eq!(
        (status.queue.instances, status.queue.without_agreement),
        (2, 2)
    );
    let study = &status.queue.studies[0];
    assert_eq!(
        (
            study.at_site,
            study.state.as_str(),
            study.modalities.as_str()
        ),
        (2, "arriving", "CT")
    );
    let text = serde_json::to_string(&status).unwrap();
    assert!(
        !text.contains("Phantom") && !text.contains("PID-7"),
        "{text}"
    );

    let case = study.case.clone();
    names_are_told_at_the_socket(&agent, &case).await;
    ends_and_begins_again(agent, &case, &spool).await;
}

async fn names_are_told_at_the_socket(agent: &Agent, case: &str) {
    for what in [case.to_lowercase().as_str(), "ACC-7", "PID-7"] {
        let found = agent
            .ask(Ask::Where {
                what: what.to_owned(),
            })
            .await;
        let Answer::Cases(cases) = found else {
            panic!("{found:?}")
        };
        assert_eq!(
            (cases.len(), cases[0].patient_name.as_str()),
            (1, "Test^Phantom"),
            "{what}"
        );
        assert!(
            cases[0].events[0].what.contains("2 instances from PACS"),
            "{:?}",
            cases[0].events
        );
        assert_eq!(
            cases[0].waits_for,
            "an agreement: the gateway has not named one yet"
        );
    }
}

async fn ends_and_begins_again(agent: Agent, case: &str, spool: &Path) {
    let sent = agent
        .ask(Ask::SendNow {
            case: Some(case.parse().unwrap()),
        })
        .await;
    assert!(matches!(sent, Answer::Changed(1)), "{sent:?}");
    let config = agent.config.clone();
    agent.stop().await;

    let gone = ask(spool, &Ask::Status).await;
    assert!(matches!(gone, Err(ControlError::NotRunning)), "{gone:?}");
    let left = status::of_rows(&look(&config).await.unwrap(), clock().now())
        .await
        .unwrap();
    assert_eq!((left.running, left.queue.instances), (false, 2));
    let agent = Agent::start(spool).await;
    assert_eq!(agent.send("1.2.3.3").await, SendOutcome::Stored(0));
    assert_eq!(agent.status().await.queue.studies[0].at_site, 3);
    agent.stop().await;
}

/// Asks a port for a page and answers all that came.
async fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let ask = format!("GET {path} HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n");
    stream.write_all(ask.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// Takes one message, and answers all that came.
async fn taken(duty: &tokio::net::TcpListener) -> String {
    let (mut stream, _) = duty.accept().await.unwrap();
    let mut told = String::new();
    while !told.ends_with('}') {
        let mut bytes = [0; 4096];
        let count = stream.read(&mut bytes).await.unwrap();
        assert!(count > 0, "{told}");
        told.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
    }
    stream
        .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
        .await
        .unwrap();
    told
}

/// What the health port says of a disk below its hard floor.
async fn full_disk(health: SocketAddr) {
    let ready = get(health, "/readyz").await;
    assert!(
        ready.starts_with("HTTP/1.1 503 ") && ready.contains("\r\n\r\ndisk-full: "),
        "{ready}"
    );
    let alive = get(health, "/healthz").await;
    assert!(
        alive.starts_with("HTTP/1.1 200 ") && alive.ends_with("ok\n"),
        "{alive}"
    );
    let metrics = get(health, "/metrics").await;
    for line in [
        "causeway_ready 0",
        "causeway_link_up 0",
        "causeway_taking 0",
        "causeway_alarms{rule=\"disk\"} 1",
        "causeway_queue_oldest_seconds{queue=\"deliveries\"} 0",
    ] {
        assert!(
            metrics.contains(&format!("\n{line}\n")),
            "{line}: {metrics}"
        );
    }
}

#[tokio::test]
async fn an_alarm_leaves_a_running_agent_until_a_person_knows_and_its_health_port_names_the_cause()
{
    let folder = tempfile::tempdir().unwrap();
    enrol(folder.path());
    let duty = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = config(folder.path());
    config.alarms = serde_json::from_value(serde_json::json!({
        "look_every_s": 1,
        "webhook": [{ "name": "duty", "url": format!("http://{}/in", duty.local_addr().unwrap()) }],
    }))
    .unwrap();
    config.health.listen = Some("127.0.0.1:0".to_owned());
    config.disk.hard_floor_bytes = u64::MAX;
    config.disk.soft_floor_bytes = u64::MAX;
    let agent = Agent::start_with(config, folder.path()).await;
    let told = taken(&duty).await;
    let (_, body) = told.split_once("\r\n\r\n").unwrap();
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(
        (&body["alarm"], &body["phase"]),
        (&"disk".into(), &"raised".into())
    );
    assert_eq!(
        (&body["name"], &body["times"]),
        (&"site-a".into(), &1.into())
    );

    // it is told before its row is written: whoever crashes between the two tells it twice
    let status = loop {
        let status = agent.status().await;
        if !status.told.is_empty() {
            break status;
        }
    };
    assert_eq!(status.told.len(), 1, "{:?}", status.told);
    assert_eq!(status.channels[0].name, "duty");
    let know = || Ask::Acknowledge {
        rule: Some("disk".to_owned()),
        about: None,
    };
    assert!(matches!(agent.ask(know()).await, Answer::Changed(1)));
    assert!(matches!(agent.ask(know()).await, Answer::Changed(0)));
    assert_eq!(
        agent.status().await.told[0]
            .acknowledged
            .as_ref()
            .unwrap()
            .by,
        "operator"
    );

    full_disk(agent.health.unwrap()).await;
    agent.stop().await;
}

#[tokio::test]
async fn a_test_alarm_goes_through_each_channel_and_each_says_what_became_of_it() {
    let folder = tempfile::tempdir().unwrap();
    enrol(folder.path());
    let mut config = config(folder.path());
    let mut said = Vec::new();
    assert!(!doctor::test_alarm(&config, &mut said).await.unwrap());
    let text = String::from_utf8(said).unwrap();
    assert!(text.starts_with("FAULT   alarms has no channel"), "{text}");
    config.alarms = serde_json::from_value(serde_json::json!({ "command": [
        { "name": "good", "program": "/bin/true" }, { "name": "bad", "program": "/bin/false" },
    ] }))
    .unwrap();
    let mut said = Vec::new();
    assert!(!doctor::test_alarm(&config, &mut said).await.unwrap());
    let text = String::from_utf8(said).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "good    good (command) took it");
    assert!(
        lines[1].starts_with("FAULT   bad (command): the program ended with "),
        "{text}"
    );
    config.alarms.command.pop();
    assert!(doctor::test_alarm(&config, &mut Vec::new()).await.unwrap());
}
