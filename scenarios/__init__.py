"""haloassay.scenarios"""
