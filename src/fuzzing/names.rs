//! Names in DER, and what rules make of names.

use crate::identity::fuzzing as der;
use crate::identity::mapping::{Issuer, Mapping, Rule};
use crate::identity::name::{is_x500_name, java_name};
use crate::identity::{MAX_IDENTITY, mapping::AnchorRef};
use crate::tls;

pub(super) fn names(data: &[u8]) {
    tls::fuzzing::name(data);
    let Ok(printed) = java_name(data) else { return };
    // A name holds relative names, which hold attributes, which hold a type and a value.
    let again = der::encoded_again(data, 3);
    assert_eq!(again.as_deref(), Some(data), "a name that is printed has one encoding");
    assert!(printed.len() <= 8 * data.len() + 8, "{} bytes printed of {}", printed.len(), data.len());
    if der::has_attribute_in_each(data) {
        assert!(is_x500_name(&printed), "Java would not read {printed:?}");
    }
}

/// A rule, NUL, the names that it is tried with, a line each.
pub(super) fn mapping(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let (rule, names) = text.split_once('\0').unwrap_or((text, "CN=alice,O=Example"));
    if let Ok(issuer) = rule.parse::<Issuer>() {
        assert_eq!(issuer.to_string().parse(), Ok(issuer));
    }
    let Ok(rule) = rule.parse::<Rule>() else { return };
    let printed = rule.to_string();
    let again = printed.parse::<Rule>().map(|rule| rule.to_string());
    assert_eq!(again.as_ref(), Ok(&printed));
    let mapping = Mapping::new(vec![rule]).expect("one rule is a mapping");
    let anchor = AnchorRef { alias: Some("ca"), sha256: &[7; 32] };
    for name in names.split('\n').take(8) {
        let mapped = mapping.apply(name, anchor);
        assert_eq!(mapped, mapping.apply(name, anchor));
        assert_eq!(mapped, mapping.apply_without_anchor(name), "a rule for all is one without an anchor too");
        if let Ok(mapped) = mapped {
            let name = mapped.identity.as_str();
            assert!(!name.is_empty() && name.len() <= MAX_IDENTITY);
        }
    }
}
