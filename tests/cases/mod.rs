mod independent;
mod support;

mod accuracy;
mod authoring;
mod bad_input;
mod catalog;
mod components;
mod contract;
mod crash;
mod healing;
mod hostile;
mod languages;
mod lifecycle;
mod telemetry;
mod under_load;
