mod independent;
mod support;

mod accuracy;
mod catalog;
mod crash;
mod healing;
mod under_load;
