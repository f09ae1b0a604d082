//! How many may come, how long they may take, and what they hear when the disk is full or we are about to end.

use super::*;

/// Another address of this machine.
const NEIGHBOUR: [u8; 4] = [127, 0, 0, 2];

/// What a request from `from` hears.
async fn asks(site: &Site, from: [u8; 4]) -> (Peer, String) {
    let mut peer = Peer::connect_from(site, from).await;
    peer.write(&request(&ECHO)).await;
    let answer = peer.short().await;
    (peer, answer)
}

async fn check(site: &Site, from: [u8; 4], answer: &str) -> Peer {
    let (mut peer, heard) = asks(site, from).await;
    assert_eq!(heard, answer);
    if answer != "ac" {
        assert_eq!(peer.short().await, "closed");
    }
    peer
}

#[tokio::test]
async fn associations_are_counted_in_all_and_for_each_address() {
    let site = Site::open("max_associations = 3\nmax_associations_per_peer = 2").await;
    let first = check(&site, [127, 0, 0, 1], "ac").await;
    let second = check(&site, [127, 0, 0, 1], "ac").await;
    check(&site, [127, 0, 0, 1], "rj 2/3/2").await;
    let third = check(&site, NEIGHBOUR, "ac").await;
    check(&site, NEIGHBOUR, "rj 2/3/2").await;
    drop(first);
    // the place is free again as soon as the listener has seen the end of the first
    let deadline = Instant::now() + Duration::from_secs(10);
    let again = loop {
        match asks(&site, NEIGHBOUR).await {
            (peer, answer) if answer == "ac" => break peer,
            (_, answer) => assert_eq!(answer, "rj 2/3/2"),
        }
        assert!(Instant::now() < deadline, "the place was not given back");
    };
    drop((second, third, again));
    site.close().await;
}

#[tokio::test]
async fn one_address_does_not_fill_the_waiting_room_alone() {
    let site = Site::open("max_associations_per_peer = 2").await;
    let mut silent = Vec::new();
    for _ in 0..2 + door::WAITING_FROM_ONE {
        silent.push(Peer::connect(&site).await);
    }
    // whoever has waited for longest gives way to the next of that address
    let newcomer = check(&site, [127, 0, 0, 1], "ac").await;
    let first = silent.first_mut().unwrap();
    assert_eq!(first.short().await, "rj 2/3/2");
    assert_eq!(first.short().await, "closed");
    let neighbour = check(&site, NEIGHBOUR, "ac").await;
    // the others still wait, and are heard
    let last = silent.last_mut().unwrap();
    last.write(&request(&ECHO)).await;
    assert_eq!(last.short().await, "ac");
    drop((silent, newcomer, neighbour));
    site.close().await;
}

#[tokio::test]
async fn strangers_who_say_nothing_shut_nobody_out() {
    let site = Site::open("max_associations = 2\nmax_associations_per_peer = 2").await;
    let mut patient = Peer::connect(&site).await;
    // more than there is room for, from where nobody may call, again and again
    let mut strangers = Vec::new();
    for number in 0..200 {
        let from = [127, 0, 1, u8::try_from(number % 20).unwrap() + 1];
        let mut stranger = Peer::connect_from(&site, from).await;
        if number % 3 == 0 {
            stranger.write(&request(&ECHO)[..40]).await;
        }
        strangers.push(stranger);
    }
    let neighbour = check(&site, NEIGHBOUR, "ac").await;
    patient.write(&request(&ECHO)).await;
    assert_eq!(patient.short().await, "ac");
    // associations give way to nobody
    check(&site, NEIGHBOUR, "rj 2/3/2").await;
    drop((strangers, neighbour, patient));
    // what gave way is not counted any more: one alone finds room, though nobody is left to give way to him
    let deadline = Instant::now() + Duration::from_secs(10);
    while asks(&site, NEIGHBOUR).await.1 != "ac" {
        assert!(Instant::now() < deadline, "places were not given back");
    }
    site.close().await;
}

#[tokio::test]
async fn whoever_is_refused_and_stays_is_counted_for_as_long_as_he_stays() {
    let site = Site::open("max_associations_per_peer = 2\nartim_timeout_s = 300").await;
    let mut stranger = asked(&ECHO);
    stranger.calling_ae_title = "NOBODY".to_owned();
    let mut refused = Vec::new();
    for (say, answer) in [(vec![0xFF], "abort 2/1"), (encoded(stranger), "rj 1/1/3")] {
        for _ in 0..100 {
            let mut peer = Peer::connect(&site).await;
            peer.write(&say).await;
            assert_eq!(peer.short().await, answer);
            refused.push(peer);
        }
    }
    // all that are left are those for whom there is room, and the listener itself
    let most = 2 + door::WAITING_FROM_ONE + 1;
    let deadline = Instant::now() + Duration::from_secs(10);
    while site.tracker.len() > most {
        assert!(Instant::now() < deadline, "{} live on", site.tracker.len());
        tokio::task::yield_now().await;
    }
    let newcomer = check(&site, [127, 0, 0, 1], "ac").await;
    drop((refused, newcomer));
    site.close().await;
}

#[tokio::test]
async fn those_who_may_call_do_not_give_way_to_strangers() {
    let site = Site::open("max_associations = 2\nmax_associations_per_peer = 40").await;
    let mut patient = Vec::new();
    for _ in 0..2 + door::WAITING_ROOM {
        patient.push(Peer::connect(&site).await);
    }
    let mut stranger = Peer::connect_from(&site, [127, 0, 1, 1]).await;
    assert_eq!(stranger.short().await, "rj 2/3/2");
    let first = patient.first_mut().unwrap();
    first.write(&request(&ECHO)).await;
    assert_eq!(first.short().await, "ac");
    // one who may call himself still finds room
    let neighbour = check(&site, NEIGHBOUR, "ac").await;
    drop((patient, stranger, neighbour));
    site.close().await;
}

#[tokio::test]
async fn a_disk_that_fills_up_turns_new_associations_away_and_refuses_in_old_ones() {
    let site = Site::open("").await;
    let mut peer = Peer::associated(&site, &STORE).await;
    site.bench.disk.set_free(Some(2 << 30));
    check(&site, [127, 0, 0, 1], "rj 2/3/1").await;
    let bytes = messages::dataset(|_| {});
    assert_eq!(messages::store(&mut peer, "1.2.3.4", &bytes).await.0, 0);
    site.bench.disk.set_free(Some(0));
    let (status, comment) = messages::store(&mut peer, "1.2.3.5", &bytes).await;
    assert_eq!((status, comment.is_empty()), (0xA700, false));
    site.bench.disk.set_free(None);
    assert_eq!(messages::store(&mut peer, "1.2.3.4", &bytes).await.0, 0);
    drop(peer);
    site.close().await;
}

#[tokio::test]
async fn while_the_last_message_is_finished_whoever_asks_is_told_to_come_again() {
    let site = Site::open("").await;
    let mut peer = Peer::associated(&site, &STORE).await;
    let bytes = messages::dataset(|_| {});
    let request = command::write_store_request(7, CT, "1.2.3.4");
    peer.write(&pdv(1, true, true, &request)).await;
    peer.write(&pdv(1, false, false, &bytes[..40])).await;
    // heard by the same listener in the order in which it was said
    alive(&site).await;
    site.cancel.cancel();
    check(&site, [127, 0, 0, 1], "rj 2/3/1").await;
    check(&site, NEIGHBOUR, "rj 2/3/1").await;
    peer.write(&pdv(1, false, true, &bytes[40..])).await;
    assert_eq!(peer.response().await, (0, String::new()));
    assert_eq!(peer.short().await, "abort 0/0");
    drop(peer);
    let address = site.address;
    site.close().await;
    TcpStream::connect(address).await.unwrap_err();
}

#[tokio::test]
async fn shutting_down_ends_idle_associations_with_an_abort() {
    let site = Site::open("").await;
    let mut peer = Peer::associated(&site, &ECHO).await;
    site.cancel.cancel();
    assert_eq!(peer.short().await, "abort 0/0");
    drop(peer);
    site.close().await;
}

#[tokio::test]
async fn silence_after_connecting_ends_with_artim() {
    let site = Site::open("artim_timeout_s = 1").await;
    let mut silent = Peer::connect(&site).await;
    let mut hesitant = Peer::connect(&site).await;
    hesitant.write(&request(&ECHO)[..40]).await;
    assert_eq!(silent.short().await, "closed");
    assert_eq!(hesitant.short().await, "closed");
    site.close().await;
    let config: Config = toml::from_str("").unwrap();
    assert_eq!(config.artim_timeout_s, 10);
}

#[tokio::test]
async fn silence_between_messages_ends_with_an_abort() {
    let site = Site::open("idle_timeout_s = 1").await;
    let mut peer = Peer::associated(&site, &ECHO).await;
    assert_eq!(peer.short().await, "abort 2/0");
    drop(peer);
    site.close().await;
}

#[tokio::test]
async fn a_message_that_does_not_come_on_ends_with_an_abort_however_little_of_it_came() {
    let site = Site::open("idle_timeout_s = 86400\npace_window_s = 1").await;
    let echo = command::write_echo_request(3, negotiate::VERIFICATION);
    let message = pdv(1, true, true, &echo);
    let mut peers = Vec::new();
    for first in [1, 6, 12, 13, message.len() - 1] {
        let mut peer = Peer::associated(&site, &ECHO).await;
        peer.write(&message[..first]).await;
        peers.push((first, peer));
    }
    let patient = Peer::associated(&site, &ECHO).await;
    for (first, mut peer) in peers {
        assert_eq!(peer.short().await, "abort 2/0", "after {first} bytes");
    }
    // between messages there is no hurry
    let mut peer = patient;
    peer.write(&message).await;
    assert_eq!(peer.response().await, (0, String::new()));
    drop(peer);
    site.close().await;
    let config: Config = toml::from_str("").unwrap();
    assert_eq!((config.pace_window_s, config.idle_timeout_s), (60, 300));
}

#[tokio::test]
async fn a_flood_of_strangers_is_a_few_lines_and_hides_nobody_who_may_call() {
    let logged = Logged::here();
    let site = Site::open("").await;
    let stranger = |number: u8| [127, 0, 1, number];
    for number in 1..=50 {
        check(&site, stranger(number), "rj 1/1/3").await;
    }
    for _ in 0..20 {
        check(&site, stranger(1), "rj 1/1/3").await;
    }
    let refused = || logged.lines().matches("association refused").count();
    // of 32 addresses, and of one of them three
    assert_eq!(refused(), 34);
    let mut known = Peer::connect(&site).await;
    known.write(&[0xFF; 10]).await;
    assert_eq!(known.short().await, "abort 2/1");
    let lines = logged.lines();
    assert_eq!(lines.matches("association aborted").count(), 1);
    // eighteen addresses; what is left out after them is theirs too, and not that of one who may call
    assert_eq!(lines.matches("left_out=18").count(), 1, "{lines}");
    assert_eq!(lines.matches("left_out=0").count(), 34, "{lines}");
    site.close().await;
}
