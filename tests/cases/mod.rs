mod independent;
mod support;

mod accuracy;
mod bad_input;
mod catalog;
mod components;
#[path = "components/played.rs"]
mod components_played;
mod crash;
mod healing;
mod languages;
mod under_load;
