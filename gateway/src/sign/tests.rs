//! Wrapping: nothing but the right key and the right place opens it.

use causeway_proto::random::Random;
use zeroize::Zeroizing;

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
