"""Households: who is at home, how appliances are used, who notices a fault, and what it costs."""
