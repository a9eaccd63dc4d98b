"""haloassay.reports"""
