mod independent;
mod support;

mod accuracy;
mod authoring;
mod bad_input;
mod catalog;
mod components;
mod contract;
mod crash;
mod daemon;
mod healing;
mod hostile;
mod install;
mod languages;
mod lifecycle;
mod telemetry;
mod under_load;
