//! `kai-agent metrics test`: what a rule would count in a file, for those who write rules.
