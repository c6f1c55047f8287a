//! Whether a text has one of some words in it, as fast as that can be asked: by vector instructions
//! where the machine has them and the words are few enough.

use aho_corasick::packed::Searcher;
use aho_corasick::{AhoCorasick, Input};

#[derive(Debug)]
pub enum Words {
    Packed(Searcher),
    Automaton(AhoCorasick),
}

impl Words {
    /// `None` without words.
    pub fn new(words: &[String]) -> Option<Self> {
        if words.is_empty() {
            return None;
        }
        if let Some(searcher) = Searcher::new(words) {
            return Some(Self::Packed(searcher));
        }
        // Fails for some gigabytes of words only.
        AhoCorasick::new(words).ok().map(Self::Automaton)
    }

    pub fn any(&self, text: &[u8]) -> bool {
        match self {
            Self::Packed(searcher) => searcher.find(text).is_some(),
            Self::Automaton(automaton) => automaton.is_match(Input::new(text).earliest(true)),
        }
    }
}
