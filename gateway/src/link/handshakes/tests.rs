//! Who has a place, and who has none.

use super::*;

const MOST: Most = Most {
    all: 256,
    of_one: 16,
};

fn proved(address: &str) -> Origin {
    Origin::Proved(address.parse().unwrap())
}

fn site(name: &str) -> SiteId {
    name.parse().unwrap()
}

/// The directory knows its site, and admits its session.
fn admitted(handshake: &Handshake, name: &str) -> bool {
    let is_of = handshake.is_of(&site(name));
    if is_of {
        handshake.came(&site(name));
    }
    is_of
}

/// All that one may begin while nothing else is open.
fn as_many_as_he_may(all: &Handshakes, from: &Origin) -> Vec<Arc<Handshake>> {
    std::iter::from_fn(|| all.begin(from, 0)).collect()
}

#[test]
fn an_address_has_its_own_and_gives_them_back() {
    let all = Handshakes::new(Most {
        all: 256,
        of_one: 2,
    });
    // it is somebody's home, who has more than strangers when there is little
    for (number, home) in ["2001:db8::1", "2001:db8:0:1::1", "192.0.2.1"]
        .iter()
        .enumerate()
    {
        let handshake = all.begin(&proved(home), 0).unwrap();
        assert!(admitted(&handshake, &format!("site-{number}")));
    }
    let begin = |address: &str| all.begin(&proved(address), 255);
    let first = begin("2001:db8::1").unwrap();
    let _second = begin("2001:db8::2").unwrap();
    assert!(begin("2001:db8::3").is_none(), "one subscriber");
    let _other = begin("2001:db8:0:1::1").unwrap();
    let _mapped = begin("::ffff:192.0.2.1").unwrap();
    let short = begin("192.0.2.1").unwrap();
    assert!(begin("192.0.2.1").is_none());
    drop(first);
    let third = begin("2001:db8::3").unwrap();
    assert!(admitted(&third, "site-0"));
    assert!(begin("2001:db8::4").is_some(), "it is the site's");
    drop((third, short));
    // two /64 of one /48, and one address of IPv4
    assert_eq!(all.all().under_way.len(), 4);
}

#[test]
fn one_address_has_no_quarter_of_all_places_and_leaves_room_for_others() {
    let all = Handshakes::new(MOST);
    let one = as_many_as_he_may(&all, &proved("192.0.2.1"));
    assert_eq!(one.len(), 43);
    let ranges = |subscriber: u16| (0..256).map(move |range| (subscriber, range));
    let mut subscriber = Vec::new();
    for (number, range) in ranges(1) {
        let from = proved(&format!("2001:db8:{number:x}:{range:x}::1"));
        subscriber.extend(as_many_as_he_may(&all, &from));
    }
    assert!(one.len() + subscriber.len() <= 64 + 16);
    drop(one);
    let mut others = Vec::new();
    for number in 2..22 {
        others.push(as_many_as_he_may(&all, &proved(&format!("192.0.2.{number}"))).len());
    }
    assert!(others.iter().all(|held| *held > 0), "{others:?}");
}

#[test]
fn a_few_addresses_or_subscribers_do_not_have_all_places_of_strangers() {
    for from in [
        (|number| format!("192.0.2.{number}")) as fn(u16) -> String,
        |number| format!("2001:db8:{number:x}::1"),
        // sixteen ranges of each
        |number| format!("2001:db8:{:x}:{number:x}::1", number / 16),
    ] {
        let all = Handshakes::new(MOST);
        let mut begun = Vec::new();
        for number in 0..20 {
            begun.push(as_many_as_he_may(&all, &proved(&from(number))));
        }
        let held = all.all().held(&Whose::Strangers);
        assert!(held < MOST.strangers(), "{held}");
        assert!(all.begin(&proved("198.51.100.1"), 0).is_some());
    }
}

#[test]
fn where_a_site_came_from_there_is_room_when_strangers_have_none() {
    let all = Handshakes::new(MOST);
    let north = all.begin(&proved("192.0.2.1"), 0).unwrap();
    assert!(admitted(&north, "north"));
    drop(north);
    let strangers: Vec<_> = (0..=255)
        .filter_map(|number| all.begin(&proved(&format!("198.51.100.{number}")), 0))
        .collect();
    assert_eq!(strangers.len(), 128);
    assert!(all.begin(&proved("203.0.113.1"), 0).is_none());
    assert_eq!(as_many_as_he_may(&all, &proved("192.0.2.1")).len(), 16);
    let tunnel = Origin::Tunnel(site("south"));
    assert_eq!(as_many_as_he_may(&all, &tunnel).len(), 16);
}

#[test]
fn the_last_places_are_kept_for_sites_that_are_away() {
    let all = Handshakes::new(MOST);
    let north = all.begin(&proved("192.0.2.1"), 0).unwrap();
    assert!(admitted(&north, "north"));
    let comes = |open| all.begin(&proved("203.0.113.1"), open).is_some();
    assert!(comes(255), "nobody is away");
    drop(north);
    assert!(!comes(255));
    assert!(comes(254));
    assert!(all.begin(&proved("192.0.2.1"), 255).is_some());
}

#[test]
fn a_site_has_no_more_connections_than_its_own_and_the_rest_stays_with_its_address() {
    let all = Handshakes::new(MOST);
    let from = proved("192.0.2.1");
    let begun: Vec<_> = (0..1000)
        .filter_map(|_| {
            let handshake = all.begin(&from, 0)?;
            let admitted = admitted(&handshake, "north");
            Some((handshake, admitted))
        })
        .collect();
    let own = begun.iter().filter(|(_, admitted)| *admitted).count();
    assert_eq!(own, 16);
    assert!(begun.len() < 16 + 64, "{}", begun.len());
    assert!(all.begin(&proved("192.0.2.2"), begun.len()).is_some());
    drop(begun);
    assert!(admitted(&all.begin(&from, 0).unwrap(), "north"));
}

#[test]
fn fifty_sites_that_come_at_once_are_let_in_though_they_share_an_address() {
    let all = Handshakes::new(MOST);
    let mut open = Vec::new();
    let begun: Vec<_> = (0..50)
        .filter_map(|_| {
            let address = "192.0.2.1".parse().unwrap();
            let claimed = all.begin(&Origin::Claimed(address), 0);
            claimed.or_else(|| all.begin(&Origin::Proved(address), 0))
        })
        .collect();
    assert_eq!(begun.len(), 50);
    for (number, handshake) in begun.into_iter().enumerate() {
        assert!(admitted(&handshake, &format!("site-{number}")));
        open.push(handshake);
    }
    assert!(all.all().under_way.is_empty());
}

#[test]
fn nobody_counts_for_another_who_only_has_his_address() {
    let all = Handshakes::new(Most { all: 8, of_one: 1 });
    let address = "192.0.2.1".parse().unwrap();
    let all_of_them = [
        Origin::Claimed(address),
        Origin::Proved(address),
        Origin::Tunnel(site("north")),
        Origin::Tunnel(site("south")),
    ];
    let mut begun = Vec::new();
    for from in all_of_them {
        begun.extend(as_many_as_he_may(&all, &from));
        assert!(!begun.is_empty());
    }
    assert!(all.begin(&proved("192.0.2.2"), 0).is_some());
}

#[test]
fn after_a_restart_a_site_is_known_by_where_it_came_from() {
    let before = Handshakes::new(MOST);
    let mut came_from = String::new();
    for address in ["192.0.2.1", "192.0.2.2", "2001:db8::7"] {
        let handshake = before.begin(&proved(address), 0).unwrap();
        assert!(handshake.is_of(&site("a")));
        came_from = handshake.came(&site("a"));
        // one that is not admitted comes from nowhere
        let other = before.begin(&proved("192.0.2.9"), 0).unwrap();
        assert!(other.is_of(&site("a")));
    }
    assert_eq!(came_from, "192.0.2.2 2001:db8::");
    let after = Handshakes::new(MOST);
    after.remember(site("a"), &came_from);
    after.remember(site("b"), "nowhere 198.51.100.1");
    // strangers come first, from so many addresses that nothing is left to them
    let flood = (0..=255).map(|last| proved(&format!("203.0.113.{last}")));
    let _flood: Vec<_> = flood
        .flat_map(|from| as_many_as_he_may(&after, &from))
        .collect();
    assert!(after.begin(&proved("192.0.2.1"), 128).is_none());
    for home in ["192.0.2.2", "2001:db8::1", "198.51.100.1"] {
        assert!(after.begin(&proved(home), 128).is_some(), "{home}");
    }
}
