"""haloassay.mocks"""
