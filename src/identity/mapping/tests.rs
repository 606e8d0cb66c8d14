use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

const CA: [u8; 32] = [0xca; 32];
const OTHER: [u8; 32] = [0x07; 32];

fn anchor<'a>(alias: &'a str, sha256: &'a [u8; 32]) -> AnchorRef<'a> {
    AnchorRef { alias: Some(alias), sha256 }
}

fn rule(written: &str) -> Rule {
    written.parse().unwrap_or_else(|error| panic!("{written}: {error}"))
}

fn mapping(rules: &[&str]) -> Mapping {
    Mapping::new(rules.iter().map(|written| rule(written)).collect()).unwrap()
}

fn apply(rules: &[&str], name: &str) -> Result<(String, usize), Refusal> {
    let mapped = mapping(rules).apply(name, anchor("ca", &CA)).map_err(|error| error.refusal)?;
    Ok((mapped.identity.as_str().to_owned(), mapped.rule))
}

/// What one rule makes of a name; nothing if it does not match.
fn made(written: &str, name: &str) -> Option<String> {
    apply(&[written], name).ok().map(|(identity, _)| identity)
}

fn refused(written: &str) -> String {
    written.parse::<Rule>().map(|_| ()).expect_err(written).to_string()
}

#[test]
fn the_examples_of_kafkas_documentation_give_kafkas_names() {
    let rules = [
        "RULE:^CN=(.*?),OU=ServiceUsers.*$/$1/",
        "RULE:^CN=(.*?),OU=(.*?),O=(.*?),L=(.*?),ST=(.*?),C=(.*?)$/$1@$2/L",
        "RULE:^.*[Cc][Nn]=([a-zA-Z0-9.]*).*$/$1/L",
        "DEFAULT",
    ];
    for (name, identity, rule) in [
        ("CN=serviceuser,OU=ServiceUsers,O=Unknown,L=Unknown,ST=Unknown,C=Unknown", "serviceuser", 0),
        ("CN=adminUser,OU=Admin,O=Unknown,L=Unknown,ST=Unknown,C=Unknown", "adminuser@admin", 1),
        ("CN=Duke,OU=SME,O=mycp,L=Fulton,ST=MD,C=US", "duke@sme", 1),
        ("cN=Duke,OU=JavaSoft,O=Sun Microsystems", "duke", 2),
        ("OU=JavaSoft,O=Sun Microsystems,C=US", "OU=JavaSoft,O=Sun Microsystems,C=US", 3),
    ] {
        assert_eq!(apply(&rules, name), Ok((identity.to_owned(), rule)), "{name}");
    }
    let upper = "RULE:^cn=(.*?),ou=(.*?),dc=(.*?),dc=(.*?)$/$1@$2/U";
    assert_eq!(made(upper, "cn=duke,ou=sme,dc=mycp,dc=com").as_deref(), Some("DUKE@SME"));
    let comma = r"RULE:^CN=((\\, *|\w)+)(,.*|$)/$1/";
    assert_eq!(made(comma, r"CN=Tkac\, Adam,OU=ITZ,DC=geodis,DC=cz").as_deref(), Some(r"Tkac\, Adam"));
}

#[test]
fn the_first_rule_that_matches_decides() {
    let rules = ["RULE:CN=app-.*/one/", "RULE:CN=.*/two/"];
    assert_eq!(apply(&rules, "CN=app-1"), Ok(("one".to_owned(), 0)));
    assert_eq!(apply(&rules, "CN=web"), Ok(("two".to_owned(), 1)));
    let error = mapping(&rules).apply("O=x", anchor("ca", &CA)).unwrap_err();
    assert_eq!(error.refusal, Refusal::NoIdentity);
    assert_eq!(error.detail, "no mapping rule matches the certificate's name, and there is no DEFAULT");
}

#[test]
fn a_pattern_must_match_the_whole_name() {
    assert_eq!(made("RULE:CN=admin/root/", "CN=admin"), Some("root".to_owned()));
    for name in ["CN=admin2", "OU=x,CN=admin", "CN=admin\n", "\nCN=admin", "CN=admin\nO=x", "CN=admin,O=x"] {
        assert_eq!(made("RULE:CN=admin/root/", name), None, "{name:?}");
        assert_eq!(made("RULE:^CN=admin$/root/", name), None, "{name:?}");
    }
    // Neither alternative gets away with half of it, and a shorter one does not hide a longer one.
    assert_eq!(made("RULE:CN=a|CN=b/root/", "CN=a,O=x"), None);
    assert_eq!(made("RULE:CN=a|CN=b/root/", "O=x,CN=b"), None);
    assert_eq!(made("RULE:CN=(a|ab)/$1/", "CN=ab"), Some("ab".to_owned()));
}

#[test]
fn a_pattern_that_matches_nothing_too_is_applied_once() {
    assert_eq!(made("RULE:.*/x/", "CN=a"), Some("x".to_owned()));
    assert_eq!(made("RULE:(.*)/<$1>/", "CN=a"), Some("<CN=a>".to_owned()));
}

#[test]
fn a_dot_stops_at_every_line_end_that_stops_javas() {
    for end in ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'] {
        assert_eq!(made("RULE:CN=(.*)/$1/", &format!("CN=a{end}b")), None, "{end:?}");
        assert_eq!(made("RULE:CN=([^,]*)/x/", &format!("CN=a{end}b")), Some("x".to_owned()), "{end:?}");
    }
    assert_eq!(made("RULE:CN=(.)/$1/", "CN=🦓"), Some("🦓".to_owned()));
}

#[test]
fn short_classes_are_ascii_as_in_java() {
    for (class, inside, outside) in [
        (r"\d", "7", "٣"),
        (r"\w", "_", "é"),
        (r"\s", "\u{b}", "\u{a0}"),
        (r"\D", "٣", "7"),
        (r"[\w.-]", "-", "é"),
        (r"[^\d]", "é", "0"),
        (r"[-.\w]", "-", ","),
        (r"\p{Alpha}", "a", "é"),
        (r"[\p{Alnum}_]", "0", "é"),
        (r"\P{Upper}", "É", "E"),
        (r"\p{L}", "é", "1"),
        (r"\x41", "A", "x"),
        (r"\x{1F993}", "🦓", "x"),
        (r"\u00e9", "é", "e"),
        (r"\<", "<", "x"),
        (r"\é", "é", "e"),
        ("[~~a]", "~", "b"),
        (r"[\[\]]", "]", r"\"),
        ("[a|+*?(){}.$]", "|", "b"),
    ] {
        let written = format!("RULE:{class}/yes/");
        assert_eq!(made(&written, inside).as_deref(), Some("yes"), "{class} {inside}");
        assert_eq!(made(&written, outside), None, "{class} {outside}");
    }
}

#[test]
fn slashes_dollars_and_backslashes_are_escaped_as_in_kafka() {
    let spiffe = r"RULE:^spiffe:\/\/example\.org\/ns\/([^\/]+)\/sa\/([^\/]+)$/$2.$1\/x/L";
    assert_eq!(made(spiffe, "spiffe://example.org/ns/Prod/sa/Web").as_deref(), Some("web.prod/x"));
    assert_eq!(made(r"RULE:CN=(.*)/\$1=$1\\\//", "CN=a").as_deref(), Some(r"$1=a\/"));
    assert_eq!(made(r"RULE:a\\\/b/x/", r"a\/b").as_deref(), Some("x"));
}

#[test]
fn groups_are_named_by_number_or_name() {
    let name = "CN=a,OU=b";
    assert_eq!(made("RULE:CN=(.*),OU=(.*)/$2-$1-$0/", name).as_deref(), Some("b-a-CN=a,OU=b"));
    assert_eq!(made("RULE:CN=(?<user>.*),OU=(?:.*)/${user}1/", name).as_deref(), Some("a1"));
    // Digits are taken as long as there is such a group.
    assert_eq!(made("RULE:CN=(.*),OU=(.*)/$12/", name).as_deref(), Some("a2"));
    assert_eq!(made("RULE:CN=(x)?(.*),.*/[$1]$2/", name).as_deref(), Some("[]a"));
    let ten = "RULE:(.)(.)(.)(.)(.)(.)(.)(.)(.)(.)/$10$1/";
    assert_eq!(made(ten, "abcdefghij").as_deref(), Some("ja"));
}

#[test]
fn a_name_that_becomes_empty_or_too_long_is_refused() {
    assert_eq!(apply(&["RULE:CN=(.*)/$1/"], "CN="), Err(Refusal::NoIdentity));
    assert_eq!(apply(&["RULE:CN=bad//", "DEFAULT"], "CN=bad"), Err(Refusal::NoIdentity));
    let long = "a".repeat(MAX_IDENTITY);
    assert_eq!(apply(&["DEFAULT"], &long), Ok((long.clone(), 0)));
    assert_eq!(apply(&["RULE:(.*)/$1x/"], &long), Err(Refusal::Malformed));
    let bomb = format!("RULE:(.*)/{}/", "$1".repeat(2000));
    assert_eq!(apply(&[&bomb], &long), Err(Refusal::Malformed));
    // Two bytes become three.
    assert_eq!(apply(&["RULE:(.*)/$1/L"], &"Ⱥ".repeat(MAX_IDENTITY / 2)), Err(Refusal::Malformed));
}

#[test]
fn ignoring_case_of_letters_beyond_ascii_is_refused_since_java_does_not() {
    for pattern in ["(?i)CN=zoë", "CN=(?i:ë)", r"(?i)CN=zo\x{eb}", r"(?i)[\u00eb]", "(?i)[à-ü]", r"(?i)\ë"] {
        let error = refused(&format!("RULE:{pattern}/x/"));
        assert!(error.contains("beyond ASCII"), "{pattern}: {error}");
    }
    assert_eq!(made("RULE:CN=zoë/admin/", "CN=ZOË"), None);
    assert_eq!(made("RULE:(?i)CN=zo.,.*/x/", "cn=ZOË,O=a").as_deref(), Some("x"));
}

#[test]
fn ignoring_case_does_not_make_an_odd_letter_an_ascii_one() {
    // The kelvin sign and the long s.
    for (written, name) in [
        ("RULE:CN=(.*)/$1/L", "CN=\u{212a}afka"),
        ("RULE:CN=(.*)/$1/U", "CN=u\u{17f}er"),
        ("RULE:CN=(.*)/$1/U", "CN=straße"),
        ("RULE:CN=(.*)/$1/L", "CN=\u{130}stanbul"),
        ("RULE:(?i)cn=kafka/kafka/", "CN=\u{212a}afka"),
        ("RULE:CN=(?i:user)/user/", "CN=u\u{17f}er"),
    ] {
        assert_eq!(apply(&[written, "DEFAULT"], name), Err(Refusal::AmbiguousIdentity), "{written} {name}");
    }
    assert_eq!(made("RULE:CN=(.*)/$1/L", "CN=ÉCOLE").as_deref(), Some("école"));
    assert_eq!(made("RULE:(?i)cn=(.*)/$1/", "CN=Kafka").as_deref(), Some("Kafka"));
    assert_eq!(made("RULE:CN=(.*)/$1/", "CN=\u{212a}afka").as_deref(), Some("\u{212a}afka"));
}

#[test]
fn the_same_name_under_two_cas_is_not_one_user() {
    let name = "CN=admin,O=Example";
    let bound = |written: &str, issuer: &str| rule(written).bound_to(vec![issuer.parse().unwrap()]);
    let rules = vec![
        bound("RULE:^CN=([a-z]+),.*$/$1@internal/", "internal"),
        bound("RULE:^CN=([a-z]+),.*$/$1@partner/", &"07".repeat(32)),
    ];
    let mapping = Mapping::new(rules).unwrap();
    let identity = |anchor| mapping.apply(name, anchor).map(|mapped| mapped.identity.to_string());
    assert_eq!(identity(anchor("internal", &CA)).unwrap(), "admin@internal");
    assert_eq!(identity(anchor("partner", &OTHER)).unwrap(), "admin@partner");
    assert_eq!(identity(AnchorRef { alias: None, sha256: &OTHER }).unwrap(), "admin@partner");
    for stranger in [anchor("Internal", &CA), anchor("third", &CA), AnchorRef { alias: None, sha256: &CA }] {
        let error = identity(stranger).unwrap_err();
        assert_eq!(error.refusal, Refusal::NoIdentity);
        assert!(error.detail.starts_with("mapping rule 1 matches the certificate's name, but not"), "{error}");
    }
}

#[test]
fn a_bound_default_holds_for_its_issuer_alone() {
    let rules = vec![rule("DEFAULT").bound_to(vec!["ca".parse().unwrap()]), rule("RULE:.*/guest/")];
    let mapping = Mapping::new(rules).unwrap();
    assert_eq!(mapping.apply("CN=a", anchor("ca", &CA)).unwrap().identity.as_str(), "CN=a");
    let mapped = mapping.apply("CN=a", anchor("other", &OTHER)).unwrap();
    assert_eq!((mapped.identity.as_str(), mapped.rule), ("guest", 1));
}

#[test]
fn without_an_issuer_only_a_rule_for_everyone_decides() {
    let rules = vec![rule("RULE:CN=(a.*)/$1/"), rule("RULE:CN=(.*)/$1/").bound_to(vec!["ca".parse().unwrap()])];
    let mapping = Mapping::new(rules).unwrap();
    assert_eq!(mapping.apply_without_anchor("CN=app").unwrap().identity.as_str(), "app");
    assert_eq!(mapping.apply_without_anchor("CN=web").unwrap_err().refusal, Refusal::AmbiguousIdentity);
    assert_eq!(mapping.apply_without_anchor("O=x").unwrap_err().refusal, Refusal::NoIdentity);
}

#[test]
fn an_issuer_is_a_fingerprint_in_any_spelling_or_an_alias() {
    let plain = "0123456789abcdef".repeat(4);
    let colons: Vec<String> =
        plain.as_bytes().chunks(2).map(|byte| String::from_utf8(byte.to_vec()).unwrap().to_uppercase()).collect();
    let colons = colons.join(":");
    let Ok(Issuer::Sha256(bytes)) = plain.parse() else { panic!("{plain}") };
    assert_eq!(bytes[..4], [0x01, 0x23, 0x45, 0x67]);
    assert_eq!(colons.parse(), Ok(Issuer::Sha256(bytes)));
    assert_eq!(Issuer::Sha256(bytes).to_string(), plain);
    for alias in ["ca", "my ca", &"g".repeat(64), &colons[..94], &"é".repeat(32)] {
        assert_eq!(alias.parse(), Ok(Issuer::Alias(alias.to_owned())));
    }
    assert_eq!("".parse::<Issuer>(), Err(UnknownIssuer));
}

#[test]
fn what_is_no_rule_is_refused() {
    for written in [
        "",
        "default",
        "DEFAUL",
        "DEFAULT/L",
        "rule:a/b/",
        "RULE:a",
        "RULE:a/b",
        "RULE:a/b/l",
        "RULE:a/b/LU",
        "RULE:a/b/L/",
        r"RULE:a/b\/",
        r"RULE:a\/b/",
        "CN=(.*)",
    ] {
        assert!(refused(written).starts_with("is no rule; write `RULE:"), "{written}: {}", refused(written));
    }
    for written in ["RULE:a/b/,DEFAULT", "RULE:a/b/L, RULE:c/d/", "DEFAULT,RULE:a/b/"] {
        assert!(refused(written).starts_with("holds more than a rule"), "{written}");
    }
    assert_eq!(refused(&format!("RULE:{}/x/", "a".repeat(MAX_RULE))), "is longer than 4096 bytes");
    assert_eq!(rule("  RULE:a/b/L ").to_string(), "RULE:a/b/L");
}

#[test]
fn what_java_knows_and_we_do_not_is_refused_by_name() {
    for (pattern, says) in [
        (r"(a)\1", "refers back to a group"),
        (r"(?<x>a)\k<x>", "refers back to a group"),
        ("a(?=b)", "looks ahead or behind"),
        ("(?<!a)b", "looks ahead or behind"),
        ("(?>a)", "has `(?>`"),
        ("a*+", "possessive"),
        ("a{2}+", "possessive"),
        ("a**", "has a `*` behind a quantifier"),
        ("a*??", "has a `?` behind a quantifier"),
        (r"\Qa.b\E", r"has `\Q…\E`"),
        (r"a\Z", r"has `\Z`"),
        (r"\h", r"has `\h`"),
        ("(?m)^a$", "has a flag"),
        ("(?x)a # b", "has a flag"),
        ("(?-i)a", "has a flag"),
        ("[a&&[^b]]", "has `&&`"),
        ("[a[bc]]", "has a class within a class"),
        ("[[:alpha:]]", "has a class within a class"),
        ("[]a]", "has a class that begins with `]`"),
        (r"[a-\d]", "has a class with a `-`"),
        ("[a--z]", "has a class with a `-`"),
        ("a{b}", "has a `{` that begins no repetition"),
        (r"\p{InGreek}", "is no regular expression: Unicode property not found"),
        ("[z-a]", "is no regular expression: invalid character class range"),
        ("(a", "is no regular expression: unclosed group"),
        ("a)|(b", "is no regular expression: unopened group"),
        ("+a", "is no regular expression: repetition operator missing expression"),
        (r"(\p{L}{1,100}){1,100}", "is too large"),
        (&"(".repeat(1000), "is no regular expression"),
    ] {
        let said = refused(&format!("RULE:{pattern}/x/"));
        assert!(said.starts_with("the pattern ") && said.contains(says), "{pattern}: {said}");
        assert!(!said.contains('\n'), "{said}");
    }
}

#[test]
fn a_reference_to_no_group_is_refused() {
    for (written, says) in [
        ("RULE:(a)/$2/", "refers to `$2`, and the pattern has 1 groups"),
        ("RULE:a/$1/", "refers to `$1`, and the pattern has 0 groups"),
        ("RULE:(a)/${x}/", "refers to `${x}`, which is no group"),
        ("RULE:(?<x>a)/${x/", "has a `${` without its `}`"),
        ("RULE:(a)/$x/", "has a `$` without a group's number"),
        ("RULE:(a)/a$/", "has a `$` without a group's number"),
        ("RULE:(a)/$é/", "has a `$` without a group's number"),
    ] {
        let said = refused(written);
        assert!(said.starts_with(&format!("the replacement {says}")), "{written}: {said}");
    }
}

#[test]
fn rules_that_make_no_mapping_together_are_refused() {
    let new = |rules: &[&str]| Mapping::new(rules.iter().map(|written| rule(written)).collect()).map(|_| ());
    assert_eq!(new(&[]), Err(MappingError::Empty));
    assert_eq!(new(&vec!["RULE:a/b/"; MAX_RULES]), Ok(()));
    assert_eq!(new(&vec!["RULE:a/b/"; MAX_RULES + 1]), Err(MappingError::TooMany));
    let error = new(&["RULE:a/b/", "DEFAULT", "RULE:c/d/"]).unwrap_err();
    assert_eq!(error.to_string(), "no rule behind `DEFAULT` (number 2) is ever reached; put it last");
}

#[test]
fn patterns_that_take_java_for_ever_take_us_no_time() {
    let begun = Instant::now();
    let name = format!("{}!", "a".repeat(MAX_IDENTITY - 1));
    for pattern in ["(a+)+b", "(a|a)*b", "(a|aa)+b", "(.*)(.*)(.*)(.*)(.*)b", "(a*)*b", "(x+x+)+y", "(a?){50}a{50}b"] {
        assert_eq!(made(&format!("RULE:{pattern}/x/"), &name), None, "{pattern}");
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

proptest! {
    #[test]
    fn no_rule_and_no_name_panic(body in r"[-a-c.*+?(){}\[\]^$|/\\:,=<>!&~ikdwpQE1é\n]{0,40}", name in r"\PC{0,20}|[abcé\n]{0,20}") {
        for written in [format!("RULE:{body}/$1/L"), format!("RULE:{body}"), format!("RULE:(.*)/{body}/U")] {
            if let Ok(rule) = written.parse::<Rule>() {
                let _ = Mapping::new(vec![rule]).unwrap().apply(&name, anchor("ca", &CA));
            }
        }
    }

    #[test]
    fn a_literal_pattern_matches_itself_and_nothing_else(name in r"[-a-zA-Z0-9 .*+?(){}\[\]^$|/\\:,=<>!&~#é]{1,20}", other in "[a-z.]{1,4}") {
        // Every character escaped, as Java allows for all but letters and digits.
        let escape = |c: char| if c.is_ascii_alphanumeric() { c.to_string() } else { format!("\\{c}") };
        let written = format!("RULE:{}/x/", name.chars().map(escape).collect::<String>());
        prop_assert_eq!(made(&written, &name), Some("x".to_owned()));
        if name != other {
            prop_assert_eq!(made(&written, &other), None);
        }
    }
}
