mod independent;
mod support;

mod accuracy;
mod bad_input;
mod catalog;
mod crash;
mod healing;
mod under_load;
