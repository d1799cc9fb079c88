mod independent;
mod support;

mod accuracy;
mod authoring;
mod bad_input;
mod catalog;
mod components;
mod contract;
mod crash;
mod endpoint;
mod healing;
mod hostile;
mod languages;
mod lifecycle;
mod under_load;
