"""haloassay.estimators"""
