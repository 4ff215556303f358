"""The product's own pages: what a customer reaches by the code on the appliance. See docs/customer.md."""
