//! Sorting by parts: what is large is first put into parts that a processor's nearest memory holds, in place.

/// How many parts.
pub const PARTS: usize = 512;

/// Puts items into the order of the parts that they belong to, numbers below [`PARTS`], and has each part sorted.
pub fn sort<T>(items: &mut [T], part: impl Fn(&T) -> usize, mut sort: impl FnMut(&mut [T])) {
    let mut ends = [0usize; PARTS];
    items.iter().for_each(|item| ends[part(item)] += 1);
    let mut end = 0;
    // Where the next one of each part goes; at last its end.
    let mut next = ends.map(|count| {
        end += count;
        end - count
    });
    let mut begin = 0;
    for number in 0..PARTS {
        let end = begin + ends[number];
        // What belongs elsewhere changes places with what is there, until one comes that belongs here.
        while next[number] < end {
            let at = next[number];
            let to = part(&items[at]);
            items.swap(at, next[to]);
            next[to] += 1;
        }
        sort(&mut items[begin..end]);
        begin = end;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn items_are_sorted_however_they_are_spread(
            items in prop::collection::vec((prop_oneof![0..PARTS, Just(0), Just(PARTS - 1)], any::<u8>()), 0..400),
        ) {
            let (mut sorted, mut expected) = (items.clone(), items);
            sort(&mut sorted, |item| item.0, |part| part.sort_unstable());
            expected.sort_unstable();
            prop_assert_eq!(sorted, expected);
        }
    }
}
