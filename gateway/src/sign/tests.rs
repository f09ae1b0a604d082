//! Wrapping: nothing but the right key and the right place opens it. And how long an open key stays open.

use std::time::Duration;

use causeway_proto::random::Random;
use causeway_proto::time::Timestamp;
use zeroize::Zeroizing;

use super::vault::{Unlocked, Vault};
use super::wrap::{unwrap, wrap};

#[test]
fn what_is_wrapped_opens_with_its_key_in_its_place_only() {
    let random = Random::new(|out| out.fill(7));
    let key = Zeroizing::new([1; 32]);
    let wrapped = wrap(&key, "key 1", b"secret", &random).unwrap();
    let open = unwrap(&key, "key 1", &wrapped).unwrap();
    assert_eq!(open.as_slice(), b"secret");
    assert!(unwrap(&key, "key 2", &wrapped).is_none(), "moved");
    let other = Zeroizing::new([2; 32]);
    assert!(unwrap(&other, "key 1", &wrapped).is_none(), "another key");
    for at in 0..wrapped.len() {
        let mut changed = wrapped.clone().into_bytes();
        changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
        let changed = String::from_utf8(changed).unwrap();
        assert!(unwrap(&key, "key 1", &changed).is_none(), "digit {at}");
    }
    for broken in ["", "00", "zz", &wrapped[..24]] {
        assert!(unwrap(&key, "key 1", broken).is_none(), "{broken:?}");
    }
}

fn is_open(vault: &mut Vault, session: &str, now: Timestamp) -> bool {
    vault.until(session, now).is_some()
}

#[test]
fn a_clock_that_is_set_back_keeps_no_key_open() {
    let (idle, start) = (Duration::from_secs(1800), Timestamp(1_780_000_000_000_000));
    let mut vault = Vault::new(idle);
    let never = Timestamp(i64::MAX);
    let key = Zeroizing::new(Vec::new());
    let key = Unlocked::new("a".into(), "1".into(), Vec::new(), key, never);
    vault.put("session", key, start);
    let back = start.minus(24 * 2 * idle);
    assert!(
        is_open(&mut vault, "session", back),
        "it was used a moment ago"
    );
    assert!(is_open(
        &mut vault,
        "session",
        back.plus(idle - Duration::from_secs(1))
    ));
    assert!(!is_open(&mut vault, "session", back.plus(idle)));
}
