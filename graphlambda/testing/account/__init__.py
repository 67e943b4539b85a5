"""An account to rehearse in: Lambda's quotas, delays and troubles, before the local Lambda or in virtual time.

In: what any client asks of AWS. Out: what AWS would answer, sooner or later or not at all. Must not reach AWS.
"""
