"""Reach the customer: who may be told what, when, by which channel; what was answered; whether it helped."""
